//! Counts the events of coupons, once each and in any order: the figures that reports read.

mod analytics;
mod case;
mod effects;

pub use analytics::Analytics;
