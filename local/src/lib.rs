//! The whole system on one machine: everything that `template.yaml` wires on AWS, on loopback, with
//! the same binaries.

pub mod binaries;
pub mod bodies;
mod controls;
mod drafts;
pub mod examples;
mod kept_clock;
mod page;
mod parameters;
mod running;
pub mod system;
