//! Keeps the stock: reserves a product for each redeemed coupon, takes the products of a used one,
//! and alerts low stock.

mod alert;
mod case;
mod effects;
mod inventory;
mod parts;
mod plan;
mod reservation;
mod setup;

pub use setup::Inventory;
