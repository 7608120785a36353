//! The pages: short enough, without dead links, and with the code's names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::read;
use crate::shop::root;

/// Files of the repository with one of these endings, tracked or new.
pub(super) fn files(endings: &[&str]) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let has_ending = |path: &&str| endings.iter().any(|ending| path.ends_with(ending));
    let files: Vec<_> = listed
        .lines()
        .filter(has_ending)
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    assert!(!files.is_empty(), "{endings:?}");
    files
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let parts = page.split("\n```").enumerate();
    let outside = parts.filter(|(number, _)| number % 2 == 0);
    outside.map(|(_, part)| part).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            character => character.is_alphanumeric().then_some(character),
        });
        kept.collect()
    };
    headings.map(anchor).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Every text between two others.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let mut parts = text.split(begin);
    parts.next();
    parts
        .filter_map(|part| Some(part.split_once(end)?.0))
        .collect()
}

#[test]
fn the_readme_and_the_architecture_are_short_enough_to_be_read() {
    let readme = read("README.md");
    let lines = readme.lines().count();
    assert!(lines <= 90, "README.md has {lines} lines");
    for line in readme.lines() {
        let columns = line.chars().count();
        assert!(columns <= 120, "{columns} columns: {line}");
    }
    let words = read("ARCHITECTURE.md").split_whitespace().count();
    assert!(words < 1500, "ARCHITECTURE.md has {words} words");
}

#[test]
fn no_link_of_a_page_is_dead() {
    let pages: BTreeMap<_, _> = files(&[".md"])
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect();
    let mut dead = Vec::new();
    for (path, page) in &pages {
        let folder = Path::new(path).parent().unwrap();
        let text = prose(page);
        let links = between(&text, "](", ")").into_iter();
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => PathBuf::from(path),
                file => plain(&folder.join(file)),
            };
            let page = pages.get(target.to_str().unwrap());
            let is_there = root().join(&target).exists();
            let has_anchor =
                || anchor.is_empty() || page.is_some_and(|page| anchors(page).contains(anchor));
            if !is_there || !has_anchor() {
                dead.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_of_docs_can_be_reached_from_the_readme() {
    let readme = read("README.md");
    let linked: BTreeSet<_> = between(&readme, "](", ")").into_iter().collect();
    for page in files(&[".md"]) {
        let is_page = page.starts_with("docs/") && page.matches('/').count() == 1;
        assert!(!is_page || linked.contains(page.as_str()), "{page}");
    }
}

#[test]
fn the_code_names_only_existing_pages() {
    let decisions: BTreeSet<_> = files(&[".md"])
        .iter()
        .filter_map(|path| {
            path.strip_prefix("docs/adr/")?
                .split('-')
                .next()?
                .parse()
                .ok()
        })
        .collect::<BTreeSet<u32>>();
    let is_of_a_path =
        |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    for path in files(&[".rs", ".yaml", ".yml", ".toml", ".py", "/run"]) {
        let text = read(&path);
        for part in text.split("docs/").skip(1) {
            let named = part
                .split(|it| !is_of_a_path(it))
                .next()
                .unwrap_or_default();
            if let Some(named) = named
                .split_inclusive(".md")
                .next()
                .filter(|it| it.ends_with(".md"))
            {
                assert!(
                    root().join("docs").join(named).is_file(),
                    "{path}: docs/{named}"
                );
            }
        }
        for part in text.split("ADR ").skip(1) {
            let number: String = part.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = number.parse() {
                assert!(decisions.contains(&number), "{path}: ADR {number}");
            }
        }
    }
}

/// Folders whose files the pages name.
const FOLDERS: [&str; 15] = [
    "domain/",
    "request/",
    "lib/",
    "channels/",
    "reporting/",
    "serving/",
    "functions/",
    "emulators/",
    "local/",
    "cli/",
    "tests/",
    "simulation/",
    "fuzz/",
    "bench/",
    "events/",
];

/// Names that a page's example adds, and output of runs.
const NOT_THERE: [&str; 4] = ["acme", "tills", "fuzz/artifacts", "fuzz/coverage"];

#[test]
fn the_pages_name_only_existing_files() {
    let mut missing = Vec::new();
    for path in files(&[".md"]) {
        let page = prose(&read(&path));
        for named in page.split('`').skip(1).step_by(2) {
            let is_file = FOLDERS.iter().any(|folder| named.starts_with(folder))
                && !named.contains(['<', '*', ' ', '{'])
                && !NOT_THERE.iter().any(|part| named.contains(part));
            if is_file && !root().join(named).exists() {
                missing.push(format!("{path}: {named}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
