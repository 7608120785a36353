//! Keeps the stock: reserves a product for each redeemed coupon, takes the products of a used one,
//! and alerts low stock.

mod case;
mod effects;
mod inventory;
mod low_stock;
mod parts;
mod plan;
mod reservation;
mod setup;

pub use setup::Inventory;
