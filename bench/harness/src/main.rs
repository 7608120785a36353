//! side-by-side: runs different implementations of a Lambda handler against the same events,
//! Runtime API and stub services, and measures each one from the outside.

mod backend;
mod bench;
mod check;
mod events;
mod http;
mod measure;
mod names;
mod options;
mod peer;
mod prices;
mod report;
mod runtime;
mod session;
mod tls;

use options::{Options, USAGE};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = |args: &[String]| Options::read(args);
    let result = match args.first().map(String::as_str) {
        Some("bench") => options(&args[1..]).and_then(|o| bench::run(&o)),
        Some("check") => options(&args[1..]).and_then(|o| check::run(&o)),
        Some("report") => options(&args[1..]).and_then(|o| report::print(&o.out)),
        _ => Err(USAGE.to_owned()),
    };
    if let Err(message) = result {
        eprintln!("{message}");
        std::process::exit(2);
    }
}
