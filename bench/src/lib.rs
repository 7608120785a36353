//! What the functions cost against the emulators in this process, with every call counted.

pub mod counted;
pub mod desk;
pub mod process;
pub mod reading;
pub mod rows;

#[cfg(test)]
mod figures;
