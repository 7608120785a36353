//! Zupy's webhooks of format v2: any bytes, signed as Zupy signs.

use domain::event::Fact;
use domain::provider::Content;
use domain::provider::zupy::{V2, Zupy};

use crate::{provider, zupy};

pub fn check(data: &[u8]) {
    provider::check(&V2, &Zupy::every_event(), data, |verified, content| {
        zupy::functions_share_the_types(verified, content);
        let Content::Event(event) = content else {
            return;
        };
        // The body names no company, but the secret does.
        assert_eq!(event.tenant, verified.tenant().unwrap_or("default"));
        match &event.fact {
            Fact::Redeemed(redemption) => {
                assert!(redemption.points_spent >= Some(0));
                assert!(redemption.expires_at.is_some());
            }
            Fact::Expiring(notice) => assert!(notice.expires_at.is_some()),
            Fact::Used(_) | Fact::Cancelled(_) | Fact::Expired(_) | Fact::Enrolled => {}
        }
    });
}
