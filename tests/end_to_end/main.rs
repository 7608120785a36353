//! End to end: the functions' own binaries, in the system that `template.yaml` wires, over HTTP.

mod answers;

mod delivery;
mod shop;
