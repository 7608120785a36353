//! The library's public items have docs. Clippy's `missing_errors_doc` holds their errors.

use super::docs::files;
use super::read;

const KINDS: [&str; 7] = ["const", "enum", "fn", "static", "struct", "trait", "type"];

/// The name of the public item that a line begins. Modules describe themselves.
fn public_item(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let mut words = rest.split(|character: char| !character.is_alphanumeric() && character != '_');
    let kind = words.find(|word| *word != "async" && !word.is_empty())?;
    let is_item = KINDS.contains(&kind);
    let name = words.find(|word| !word.is_empty() && *word != "fn");
    name.filter(|_| is_item)
}

/// The public items above the tests whose line before, attributes aside, is no doc comment.
fn undocumented(source: &str) -> Vec<&str> {
    let (code, _) = source
        .split_once("\n#[cfg(test)]\nmod tests {\n")
        .unwrap_or((source, ""));
    let mut found = Vec::new();
    let (mut has_docs, mut in_attribute) = (false, false);
    for line in code.lines() {
        let line = line.trim();
        if in_attribute || line.starts_with("#[") {
            in_attribute = !line.ends_with(']');
        } else if line.starts_with("///") {
            has_docs = true;
        } else {
            found.extend(public_item(line).filter(|_| !has_docs));
            has_docs = false;
        }
    }
    found
}

#[test]
fn every_public_item_of_the_library_has_docs() {
    let mut missing = Vec::new();
    for path in files(&[".rs"]) {
        let is_of_tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        let is_of_library = ["lib/src/", "domain/src/", "request/src/"]
            .iter()
            .any(|folder| path.starts_with(folder));
        if is_of_library && !is_of_tests {
            let source = read(&path);
            let items = undocumented(&source).into_iter();
            missing.extend(items.map(|name| format!("{path}: {name}")));
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "say what these are");
}

#[test]
fn an_item_without_docs_is_noticed() {
    let source = "/// One.\n#[derive(\n    Debug,\n)]\npub struct A;\n\n#[must_use]\npub async fn b() {}\n\
                  pub(crate) fn c() {}\n/// Two.\npub const fn d() {}\npub const E: u8 = 1;\n\
                  pub mod f;\npub g: u8,\n";
    assert_eq!(undocumented(source), ["b", "E"]);
}
