//! Zupy's webhooks of format v1: any bytes, signed as Zupy signs.

use domain::event::Fact;
use domain::provider::Content;
use domain::provider::zupy::{V1, Zupy};

use crate::{provider, zupy};

pub fn check(data: &[u8]) {
    provider::check(&V1, &Zupy::every_event(), data, |verified, content| {
        zupy::functions_share_the_types(verified, content);
        let Content::Event(event) = content else {
            return;
        };
        match &event.fact {
            Fact::Redeemed(redemption) => {
                assert!(redemption.points_spent > Some(0));
                assert!(redemption.expires_at.is_some());
            }
            Fact::Used(usage) => {
                for amount in [&usage.discount_applied, &usage.order_value] {
                    let money = amount.as_ref().expect("v1 states the amounts");
                    assert!(money.amount.is_sign_positive() && !money.amount.is_zero());
                    assert_eq!(money.currency, "BRL");
                }
            }
            Fact::Enrolled => assert!(!event.sandbox),
            other => panic!("v1 has no {other:?}"),
        }
    });
}
