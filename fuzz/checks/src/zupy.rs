//! Checks that hold for both of Zupy's formats.

use domain::event::Fact;
use domain::provider::zupy::Zupy;
use domain::provider::{Content, Provider};
use domain::verify::Verified;

/// The URL for all events reads a body like the function for its type. Functions for other types
/// ignore it.
pub(crate) fn functions_share_the_types(verified: &Verified<'_>, content: &Content) {
    let takes_redemptions = Zupy::only(&[Zupy::COUPON_REDEEMED]).parse(verified).content;
    let takes_uses = Zupy::only(&[Zupy::COUPON_USED]).parse(verified).content;
    match content {
        Content::Event(event) => {
            for (function, takes) in [
                (takes_redemptions, matches!(event.fact, Fact::Redeemed(_))),
                (takes_uses, matches!(event.fact, Fact::Used(_))),
            ] {
                match function {
                    Content::Event(other) => assert!(takes && other == *event),
                    Content::Ignored(_) => assert!(!takes),
                    Content::Invalid(problems) => panic!("{problems:?}"),
                }
            }
        }
        Content::Ignored(kind) => {
            for function in [takes_redemptions, takes_uses] {
                assert!(matches!(function, Content::Ignored(other) if other == *kind));
            }
        }
        Content::Invalid(problems) => {
            for function in [takes_redemptions, takes_uses] {
                match function {
                    Content::Event(event) => panic!("{event:?}"),
                    Content::Ignored(_) => {}
                    Content::Invalid(others) => assert_eq!(others, *problems),
                }
            }
        }
    }
}
