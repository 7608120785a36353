//! Counts the events of coupons, once each and in any order: the figures that reports read.

mod analytics;
mod case;
mod effects;
mod setup;

pub use setup::Analytics;
