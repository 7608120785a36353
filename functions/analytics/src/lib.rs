//! Counts what happened to coupons, once, in whatever order it is told: the figures that reports read.

mod analytics;
mod case;
mod effects;

pub use analytics::Analytics;
