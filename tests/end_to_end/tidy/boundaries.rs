//! The crates keep to their sides: `domain` has no I/O, and only stores call a body verified.

use std::collections::BTreeSet;
use std::process::Command;

use super::docs::files;
use super::read;
use crate::shop::root;

/// Every package that a package of the workspace links, by name.
fn dependencies(package: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix=none", "--edges=normal"])
        .args(["--package", package])
        // Only what this package asks for, whatever the others enable.
        .env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected")
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let lines = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    assert!(names.contains(package), "cargo tree knows no {package}");
    names
}

/// The packages of `package` whose names begin with one of these.
fn linked(package: &str, beginnings: &[&str]) -> Vec<String> {
    let is_one = |name: &String| beginnings.iter().any(|it| name.starts_with(it));
    dependencies(package).into_iter().filter(is_one).collect()
}

#[test]
fn the_domain_links_nothing_that_does_io() {
    let io = ["aws", "lambda", "tokio", "hyper", "tracing", "rustls"];
    assert_eq!(linked("domain", &io), Vec::<String>::new());
    assert_eq!(linked("request", &["aws-"]), Vec::<String>::new());
    for reader in ["checks", "local"] {
        assert_eq!(linked(reader, &["aws-sdk-"]), Vec::<String>::new());
    }
    assert_ne!(linked("webhooks", &io), Vec::<String>::new());
}

/// `Verified::recorded` trusts its caller that the body was verified when it was received.
#[test]
fn only_stores_call_a_recorded_body_verified() {
    let is_outside = |path: &String| !path.starts_with("domain/") && !path.starts_with("tests/");
    let callers = files(&[".rs"])
        .into_iter()
        .filter(is_outside)
        .filter(|path| read(path).contains("Verified::recorded("));
    let callers: Vec<_> = callers.collect();
    assert_eq!(callers, ["lib/src/ledger/refused.rs"]);
}
