//! What the functions cost against the emulators in this process, with every call counted.

pub mod counted;
pub mod process;
pub mod reading;
pub mod rows;
pub mod tables;

#[cfg(test)]
mod figures;
