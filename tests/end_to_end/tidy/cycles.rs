//! Modules that have the same parent import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};

use super::docs::files;
use super::read;
use super::source::{Part, parts};

/// A module's path from its crate's root. The root's path is empty.
type Module = Vec<String>;

/// The module that a file holds, with the folder of its crate's code: `local/src` and `sqs::state`.
/// Files of tests, examples and binaries hold no module.
fn module_of(path: &str) -> Option<(&str, Module)> {
    let (package, rest) = path.split_once("/src/")?;
    let rest = rest.strip_suffix(".rs")?;
    let mut module: Module = rest.split('/').map(str::to_owned).collect();
    let is_aside = |part: &String| ["bin", "tests"].contains(&part.as_str());
    if module.iter().any(is_aside) {
        return None;
    }
    if ["lib", "main"].contains(&rest) {
        module.clear();
    }
    Some((&path[..package.len() + "/src".len()], module))
}

/// The words and signs of code, without comments, literals and the tests at its end.
fn tokens(source: &str) -> Vec<&str> {
    let tests = "\n#[cfg(test)]\nmod tests {\n";
    let code = source.split(tests).next().unwrap_or_default();
    let tokens = parts(code).into_iter().filter_map(|part| match part {
        Part::Word(text) | Part::Sign(text) => Some(text),
        Part::Blank(_) | Part::Comment(_) | Part::Literal(_) => None,
    });
    tokens.collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|character: char| character.is_alphabetic() || character == '_')
}

/// The paths of one tree, such as `a::{b, c::D as E}`, each with its name in the importing module.
/// Also returns the number of the tree's tokens.
fn paths_of<'a>(tokens: &[&'a str]) -> (Vec<(Vec<&'a str>, &'a str)>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at).filter(|token| is_name(token)) {
        path.push(*token);
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if tokens.get(at) != Some(&"{") || tokens.get(at.wrapping_sub(1)) != Some(&"::") {
        let last = path.last().copied().unwrap_or_default();
        let known_as = match tokens.get(at..at + 2) {
            Some(["as", name]) => *name,
            _ => last,
        };
        return (vec![(path, known_as)], at);
    }
    let mut paths = Vec::new();
    at += 1;
    while let Some(token) = tokens.get(at) {
        if *token == "}" {
            return (paths, at + 1);
        }
        if !is_name(token) {
            at += 1;
            continue;
        }
        let (of_branch, length) = paths_of(&tokens[at..]);
        for (branch, known_as) in of_branch {
            let whole = path.iter().copied().chain(branch).collect::<Vec<_>>();
            paths.push((whole, known_as));
        }
        // A renamed branch ends before its `as`.
        at += length.max(1);
        if tokens.get(at) == Some(&"as") {
            at += 2;
        }
    }
    (paths, at)
}

/// A module's references to others: each path in full, and the names of its own imports.
#[derive(Default)]
struct Imports {
    paths: BTreeSet<Module>,
    named: BTreeMap<String, Module>,
}

/// A path in full, unless it leads to another crate. `self` and `super` count from `module`.
fn in_full(module: &Module, path: &[&str], children: &BTreeSet<&str>) -> Option<Module> {
    let mut base = module.clone();
    let mut parts = path.iter().peekable();
    match **parts.peek()? {
        "crate" => {
            parts.next();
            base.clear();
        }
        "self" => _ = parts.next(),
        "super" => {
            while parts.next_if(|part| **part == "super").is_some() {
                base.pop();
            }
        }
        name if children.contains(name) => {}
        _ => return None,
    }
    base.extend(parts.map(|part| (*part).to_owned()));
    Some(base)
}

fn imports(module: &Module, source: &str, children: &BTreeSet<&str>) -> Imports {
    let tokens = tokens(source);
    let mut imports = Imports::default();
    let mut at = 0;
    while at < tokens.len() {
        let is_use = tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| is_name(next));
        let continues = at > 0 && tokens[at - 1] == "::";
        let begins = is_name(tokens[at]) && !continues && tokens.get(at + 1) == Some(&"::");
        if !is_use && !begins {
            at += 1;
            continue;
        }
        at += usize::from(is_use);
        let (paths, length) = paths_of(&tokens[at..]);
        for (path, known_as) in paths {
            let Some(mut path) = in_full(module, &path, children) else {
                continue;
            };
            let is_itself = path.last().is_some_and(|last| last == "self");
            if is_itself {
                path.pop();
            }
            if is_use {
                let known_as = match (known_as, path.last()) {
                    ("self", Some(last)) => last.clone(),
                    (name, _) => name.to_owned(),
                };
                imports.named.insert(known_as, path.clone());
            }
            imports.paths.insert(path);
        }
        at += length.max(1);
    }
    imports
}

/// The module that a path leads to: where an imported name leads on, its own module.
fn target(path: &Module, of: &BTreeMap<Module, Imports>, steps: usize) -> Module {
    let known = (0..=path.len())
        .rev()
        .find(|length| of.contains_key(&path[..*length]));
    let (module, rest) = path.split_at(known.unwrap_or(0));
    let next = rest
        .first()
        .and_then(|name| of.get(module)?.named.get(name));
    match next {
        Some(next) if steps > 0 => {
            let on = next.iter().chain(&rest[1..]).cloned().collect();
            target(&on, of, steps - 1)
        }
        _ => module.to_vec(),
    }
}

/// Each import that is part of a cycle between modules of one parent, as `file: from -> to`.
fn cycles(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut crates: BTreeMap<&str, Vec<(Module, &str, &str)>> = BTreeMap::new();
    for (path, source) in sources {
        if let Some((package, module)) = module_of(path) {
            let modules = crates.entry(package).or_default();
            modules.push((module, path, source));
        }
    }
    let mut found = BTreeSet::new();
    for modules in crates.values() {
        let children = |parent: &Module| -> BTreeSet<&str> {
            let below = modules.iter().filter(|(it, ..)| it.starts_with(parent));
            below
                .filter_map(|(it, ..)| it.get(parent.len()).map(String::as_str))
                .collect()
        };
        let of: BTreeMap<_, _> = modules
            .iter()
            .map(|(module, _, source)| (module.clone(), imports(module, source, &children(module))))
            .collect();
        let mut edges: BTreeMap<Module, BTreeMap<Module, BTreeSet<&str>>> = BTreeMap::new();
        for (module, path, _) in modules {
            for imported in &of[module].paths {
                let target = target(imported, &of, 8);
                let pairs = module.iter().zip(&target);
                let common = pairs.take_while(|(ours, theirs)| ours == theirs).count();
                if common < module.len() && common < target.len() {
                    let (from, to) = (&module[..=common], &target[..=common]);
                    let targets = edges.entry(from.to_vec()).or_default();
                    targets.entry(to.to_vec()).or_default().insert(path);
                }
            }
        }
        for (from, targets) in &edges {
            for (to, paths) in targets {
                if reaches(&edges, to, from) {
                    let (from, to) = (from.join("::"), to.join("::"));
                    let of_edge = paths.iter().map(|path| format!("{path}: {from} -> {to}"));
                    found.extend(of_edge);
                }
            }
        }
    }
    found
}

fn reaches<T>(edges: &BTreeMap<Module, BTreeMap<Module, T>>, from: &Module, to: &Module) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(edges.get(module).into_iter().flat_map(BTreeMap::keys));
        }
    }
    false
}

#[test]
fn no_modules_of_one_parent_import_each_other() {
    let sources: Vec<_> = files(&[".rs"])
        .into_iter()
        .map(|path| (path.clone(), read(path)))
        .collect();
    let found = cycles(&sources);
    assert!(found.is_empty(), "dissolve these cycles: {found:#?}");
}

fn cycles_in(sources: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, source): &(&str, &str)| ((*path).to_owned(), (*source).to_owned());
    let sources: Vec<_> = sources.iter().map(owned).collect();
    cycles(&sources).into_iter().collect()
}

#[test]
fn a_cycle_of_imports_and_paths_is_found() {
    let shop = [
        (
            "shop/src/lib.rs",
            "pub mod till;\npub mod stock;\npub mod price;\n",
        ),
        (
            "shop/src/till.rs",
            "use crate::{price::Price, stock::{self as shelf, Stock}};\n",
        ),
        ("shop/src/stock.rs", "mod shelf;\npub use shelf::Stock;\n"),
        (
            "shop/src/stock/shelf.rs",
            "fn sell() { crate::till::open(); }\n",
        ),
        (
            "shop/src/price.rs",
            "use super::Other;\n// use crate::till::Till;\n",
        ),
    ];
    let expected = [
        "shop/src/stock/shelf.rs: stock -> till",
        "shop/src/till.rs: till -> stock",
    ];
    assert_eq!(cycles_in(&shop), expected);
}

#[test]
fn a_cycle_through_a_name_that_the_parent_imports_is_found() {
    let shop = [
        ("shop/src/main.rs", "mod sale;\n"),
        (
            "shop/src/sale.rs",
            "mod cart;\nmod line;\npub use cart::{Cart, Item as Thing};\n",
        ),
        ("shop/src/sale/cart.rs", "use super::line::{self, Line};\n"),
        ("shop/src/sale/line.rs", "fn of(thing: &super::Thing) {}\n"),
    ];
    let expected = [
        "shop/src/sale/cart.rs: sale::cart -> sale::line",
        "shop/src/sale/line.rs: sale::line -> sale::cart",
    ];
    assert_eq!(cycles_in(&shop), expected);
}

#[test]
fn comments_texts_tests_and_parents_make_no_cycle() {
    let shop = [
        ("shop/src/lib.rs", "pub mod a;\npub mod b;\nuse a::A;\n"),
        (
            "shop/src/a.rs",
            "mod inner;\nuse crate::b::B;\nstruct A<'a>(&'a str);\n",
        ),
        ("shop/src/a/inner.rs", "use super::A;\nuse std::a::b;\n"),
        (
            "shop/src/b.rs",
            "/* crate::a::A */ const TEXT: &str = \"\\\"crate::a::A\";\n\
             const RAW: &str = r#\"\"crate::a\"#; const QUOTE: char = '\"';\n\
             \n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
        ),
        ("shop/src/b/tests.rs", "use crate::a::A;\n"),
    ];
    assert_eq!(cycles_in(&shop), Vec::<String>::new());
}
