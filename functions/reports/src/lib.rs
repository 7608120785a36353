//! Answers what was counted: reports on coupons, as JSON and as CSV, for programs and for people.

mod access;
mod amount;
mod conversion;
mod days;
mod desk;
mod listing;
mod operations;
mod order;
mod parameters;
mod patterns;
mod period;
mod redemptions;
mod refused;
mod report;
mod request;
mod routes;
mod satisfaction;
mod service;
mod table;
mod tenant;
mod totals;
mod tracked;
mod usage;

pub use access::Scope;
pub use desk::{Desk, Guarded};
pub use listing::{Cursor, Filter, Listing, list};
pub use parameters::Parameters;
pub use period::{Compare, Period};
pub use refused::{Problem, Refused};
pub use report::{Asked, Report, Section};
pub use service::{Reports, run};
pub use table::{Table, csv_line};
pub use tracked::{COLUMNS as EVENT_COLUMNS, row as event_row};

#[cfg(test)]
mod tests;
