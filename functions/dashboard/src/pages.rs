//! The pages, one module each.

pub(crate) mod answers;
pub(crate) mod choose;
pub(crate) mod coupon;
pub(crate) mod download;
pub(crate) mod events;
pub(crate) mod member;
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod problem;
#[cfg(test)]
pub(crate) mod readable;
mod records;
mod results;
pub(crate) mod search;
