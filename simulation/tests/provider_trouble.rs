//! A day of provider trouble: hundreds of coupons, and half of all messages to people refused for
//! hours.

use simulation::play_a_day_of_provider_trouble;

#[test]
fn a_day_of_throttling_delivers_every_coupon_once_on_every_channel() {
    let outcome = play_a_day_of_provider_trouble(1).unwrap();
    assert!(outcome.broken.is_empty(), "{:#?}", outcome.broken);
}
