//! End to end: the functions' own binaries, in the system that `template.yaml` wires, over HTTP.

mod answers;
mod command_line;
mod delivery;
mod local_pages;
mod shop;
mod support;
mod tidy;
