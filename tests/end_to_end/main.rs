//! End to end: the functions' own binaries, in the system that `template.yaml` wires, over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod browser;
mod channels;
mod clock;
mod command_line;
mod contacts;
mod dead_coupons;
mod delivery;
mod extended;
mod faults;
mod figures;
mod formats;
mod fraud;
mod game_server;
mod inventory;
mod local_pages;
mod members;
mod openapi;
mod overview;
mod pages;
mod questionnaire;
mod refused;
mod renderings;
mod replay_failed;
mod reports;
mod shop;
mod signing_in;
mod slow;
mod soak;
mod support;
mod surveys;
mod tenants;
mod tidy;
mod uses;
mod worker;
