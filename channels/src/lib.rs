//! Writing to a member: the addresses, the words and the services, and making an effect outside
//! once.
//!
//! - [`Members`]: a member's contact and coupons, from the table `members`.
//! - [`texts`]: what customers read, from templates per language.
//! - [`phone`] and `email_address`: addresses as people type them, and in the networks' form.
//! - [`Channels`]: mail through SES, WhatsApp through End User Messaging Social, SMS through SNS.
//! - [`recorded_redemption`]: the recorded redemption of the coupon that an event is about.
//! - [`OutsideEffect`]: claims an effect, makes it, and settles its record.
//! - [`time`]: whether an invocation has time for a step.

mod channel;
mod channels;
mod contact;
mod effect;
mod email_address;
mod members;
pub mod phone;
mod recorded;
mod ses;
mod sms;
pub mod texts;
pub mod time;
mod whatsapp;

pub use channel::{Channel, NotNow, Outcome, unanswered};
pub use channels::Channels;
pub use contact::{Contact, Stated};
pub use effect::{NO_TIME, OutsideEffect, all_of, from_until, settle_skipped};
pub use members::{AccountCoupon, Members, Page, WAITS};
pub use recorded::{RecordedRedemption, is_erased, recorded_event, recorded_redemption};
