//! What a customer reads: a mail, an SMS, or the parameters of a WhatsApp message. Pure functions
//! fill the templates in `templates/`, which has a folder for each language.
//!
//! - [`language`]: the languages, and the [`templates`] of each.
//! - [`shown`]: a coupon as the templates show it; [`clean`] cleans the providers' texts.
//! - [`discount`]: what the coupon takes off an order, in words.
//! - [`email`]: subject, HTML and plain text.
//! - [`sms`]: one message, in the alphabet of phone networks, [`gsm`].
//! - [`whatsapp`]: the parameters of an approved template.
//! - [`survey`]: the invitation to say how the use of a coupon was.

mod clean;
mod discount;
mod email;
mod filled;
mod gsm;
mod language;
#[cfg(test)]
mod samples;
mod shown;
mod sms;
mod survey;
mod templates;
mod whatsapp;

use jiff::Timestamp;
use webhooks::event::{Discount, Reward};

pub(crate) use self::clean::meant;
pub use self::discount::discount_in_words;
pub use self::email::{Email, email};
pub use self::language::Language;
pub use self::sms::sms;
pub use self::survey::{Invitation, survey_email, survey_whatsapp_parameters};
pub use self::whatsapp::whatsapp_parameters;

/// The occasion of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The coupon is new.
    Redeemed,
    /// The coupon expires soon.
    Expiring,
}

/// The coupon in a message. Providers may leave out everything that is optional.
#[derive(Clone, Copy)]
pub struct Coupon<'a> {
    /// The member's name.
    pub name: Option<&'a str>,
    pub code: &'a str,
    pub reward: &'a Reward,
    pub discount: Option<&'a Discount>,
    pub expires_at: Option<Timestamp>,
}
