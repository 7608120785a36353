//! The pages, one module each.

pub(crate) mod download;
pub(crate) mod overview;
pub(crate) mod problem;
