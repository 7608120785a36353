//! Keeps the stock: reserves for a redeemed coupon, takes what a used one was good for, and tells when little is left.

mod alert;
mod case;
mod effects;
mod inventory;
mod parts;
mod plan;
mod reservation;

pub use inventory::Inventory;
