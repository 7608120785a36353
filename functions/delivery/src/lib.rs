//! Brings a redeemed coupon to its customer: into the account, and by mail.

mod account;
mod delivery;
pub mod message;

pub use delivery::Delivery;
