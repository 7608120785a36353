//! Reads figures and records, for the reports' function, the dashboard and the command line. The
//! crate returns values, and knows nothing of routes.

pub mod access;
pub mod account;
pub mod amount;
pub mod answers;
pub mod codes;
pub mod conversion;
pub mod days;
pub mod events;
pub mod findings;
pub mod life;
pub mod listing;
pub mod masked;
pub mod member;
pub mod operations;
mod order;
pub mod parameters;
pub mod patterns;
pub mod period;
pub mod progress;
pub mod redemptions;
pub mod refused;
pub mod report;
pub mod said;
pub mod satisfaction;
pub mod search;
pub mod sources;
pub mod surveys;
pub mod table;
pub mod tenant;
pub mod totals;
pub mod tracked;
pub mod usage;

pub use access::Scope;
pub use listing::{Cursor, Filter, Listing, list};
pub use parameters::Parameters;
pub use period::{Compare, Period, Today};
pub use refused::{Problem, Refused};
pub use report::{Asked, Head, Report, Section};
pub use said::Said;
pub use sources::{Guarded, Named, Sources};
pub use table::{Table, csv_line};
pub use tracked::{COLUMNS as EVENT_COLUMNS, row as event_row};

#[cfg(test)]
mod tests;
