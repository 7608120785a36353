//! Aghanim's webhooks: any bytes, signed as Aghanim signs.

use domain::event::Fact;
use domain::provider::Content;
use domain::provider::aghanim::{Aghanim, SCHEME};

use crate::provider;

pub fn check(data: &[u8]) {
    provider::check(&SCHEME, &Aghanim, data, |_, content| match content {
        Content::Event(event) => {
            let Fact::Redeemed(redemption) = &event.fact else {
                panic!("{:?}", event.fact);
            };
            // The redemption is useless without the items that the player gets.
            assert!(!redemption.reward.items.is_empty());
        }
        Content::Ignored(kind) => assert_ne!(kind, Aghanim::COUPON_REDEEMED),
        Content::Invalid(_) => {}
    });
}
