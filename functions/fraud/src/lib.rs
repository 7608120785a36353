//! Checks events by rules, writes findings on their records, flags members, and publishes alerts.
//!
//! The findings do not depend on the order in which events come. Each event leads to a new check of
//! all events of its coupon. A redemption also leads to a check of the member's other redemptions
//! that it may make too many.

mod case;
mod conflict;
mod coupon;
mod finding_alert;
mod fraud;
mod grace;
mod history;
mod notify;
mod parameters;
mod rapid;
mod records;
mod rules;
mod rush;
mod settings;
mod setup;
mod turns;

pub use setup::Fraud;
