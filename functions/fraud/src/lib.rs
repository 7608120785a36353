//! Looks for events that do not look right, notes what it finds on their records, flags members, and tells of it.
//!
//! Events come in any order, and what is found in the end does not depend on it: with every event all events of its coupon are
//! looked at anew, and so are those redemptions of its member that it makes too many.

mod alert;
mod case;
mod conflict;
mod coupon;
mod fraud;
mod grace;
mod history;
mod notify;
mod parameters;
mod records;
mod rules;
mod rush;

pub use fraud::Fraud;
