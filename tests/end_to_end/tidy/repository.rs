//! Manifests, lock files, fuzz targets and deliberate mistakes agree with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::{names_in, read};
use crate::shop::root;

/// cargo-lambda sets profile options that are absent, and chooses `abort` for panics. `tests/built`
/// runs such a build.
#[test]
fn deployed_functions_unwind_from_a_panic() {
    let manifest = read("Cargo.toml");
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let settings = release.lines().take_while(|line| !line.starts_with('['));
    let panic: Vec<_> = settings.filter(|line| line.starts_with("panic")).collect();
    assert_eq!(panic, ["panic = \"unwind\""]);
}

/// `cargo lambda build`, `watch` and `sam build` find only the binaries of default members.
#[test]
fn every_function_can_be_built_at_the_root() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("default-members = "))
        .unwrap();
    assert_eq!(members, r#"["cli", "functions/*"]"#);
    assert!(read("cli/Cargo.toml").contains("\ndefault-run = \"coupons\"\n"));
}

#[test]
fn versions_stand_only_in_the_workspace_table() {
    let crates = names_in("functions")
        .into_iter()
        .map(|name| format!("functions/{name}"));
    let others = [
        "domain",
        "request",
        "lib",
        "reporting",
        "serving",
        "channels",
        "emulators",
        "local",
        "cli",
        "simulation",
        "tests",
        "bench",
        "fuzz/checks",
    ];
    for package in crates.chain(others.map(str::to_owned)) {
        let manifest = read(format!("{package}/Cargo.toml"));
        let (_, dependencies) = manifest.split_once("dependencies]").unwrap();
        for line in dependencies.lines().filter(|line| line.contains('=')) {
            assert!(!line.contains("version ="), "{package}: {line}");
            let value = line.split_once("= \"").map(|(_, value)| value);
            let is_version = |value: &str| value.starts_with(|c: char| c.is_ascii_digit());
            assert!(!value.is_some_and(is_version), "{package}: {line}");
        }
    }
}

#[test]
fn every_fuzz_target_has_a_check_a_description_and_a_small_corpus() {
    let targets: BTreeSet<_> = names_in("fuzz/fuzz_targets")
        .into_iter()
        .map(|file| file.strip_suffix(".rs").unwrap().to_owned())
        .collect();
    assert_eq!(names_in("fuzz/corpus"), targets, "fuzz/corpus/");
    let manifest = read("fuzz/Cargo.toml");
    let checks = read("fuzz/checks/src/lib.rs");
    let description = read("docs/fuzzing.md");
    for name in &targets {
        let path = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&path), "{name}: fuzz/Cargo.toml");
        let replayed = format!("(\"{name}\", {}::check)", name.replace('-', "_"));
        assert!(checks.contains(&replayed), "{name}: fuzz/checks");
        let row = format!("| `{name}` |");
        assert!(description.contains(&row), "{name}: docs/fuzzing.md");

        let inputs = fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap();
        let sizes: Vec<_> = inputs
            .map(|input| input.unwrap().metadata().unwrap().len())
            .collect();
        let (count, bytes) = (sizes.len(), sizes.iter().sum::<u64>());
        assert!((1..=100).contains(&count), "{name}: {count} inputs");
        assert!(bytes <= 200_000, "{name}: {bytes} bytes");
    }
}

#[test]
fn every_mistake_that_the_simulation_catches_can_still_be_made() {
    let record = read("docs/adr/0009-simulation.md");
    let files = names_in("simulation/bugs").into_iter();
    let patches: Vec<_> = files.filter(|name| name != "run").collect();
    assert!(patches.len() >= 3, "{patches:?}");
    for patch in patches {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(root().join("simulation/bugs").join(&patch))
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{patch}: {said}");
        let name = patch.strip_suffix(".patch").unwrap();
        let row = format!("| `{name}`: ");
        assert!(record.contains(&row), "{name}: docs/adr/0009-simulation.md");
    }
}

/// The fuzz targets have a lock file of their own. To repair a difference, copy the other lock file
/// over it, then build a target.
#[test]
fn fuzz_targets_use_the_workspaces_versions() {
    let versions = |lock: &str| -> BTreeMap<String, BTreeSet<String>> {
        let mut versions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for package in read(lock).split("[[package]]").skip(1) {
            let mut values = package.lines().filter_map(|line| line.split('"').nth(1));
            let (name, version) = (values.next().unwrap(), values.next().unwrap());
            let all = versions.entry(name.to_owned()).or_default();
            all.insert(version.to_owned());
        }
        versions
    };
    let built = versions("Cargo.lock");
    for (name, fuzzed) in versions("fuzz/Cargo.lock") {
        if let Some(built) = built.get(&name) {
            assert!(fuzzed.is_subset(built), "{name}: {fuzzed:?}, not {built:?}");
        }
    }
}
