//! Brings a redeemed coupon to its customer: into the account, and by mail.

mod account;
mod delivery;
mod email;

pub use delivery::Delivery;
