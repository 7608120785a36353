//! Reads a text of secrets: JSON, or a list. A text that is certainly a mistake gets an error that
//! names the mistake. Otherwise a function would start and refuse every event.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Entry, Secret, Secrets};

/// Why a text cannot be used. An error names the place in the text, and never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The text holds no secret.
    #[error("is empty: put a value there, several separated by commas")]
    Empty,
    /// A character that nobody can see, which is probably a mistake. The number is its code point.
    #[error(
        "holds the invisible character U+{0:04X}: type the secret anew; if it belongs to the secret, write JSON with \\u{0:04x}"
    )]
    Invisible(u32),
    /// The text looks like JSON and cannot be read. The inner text is the place, if serde knows
    /// one: ` (line 1, column 2)`.
    #[error("looks like JSON and is none of the forms that are read{0}: write {FORMS}")]
    Json(String),
    /// The whole text stands in quotes, as after copying a quoted value.
    #[error("stands in quotes: take them away; if they belong to the secret, write {FORMS}")]
    Quoted,
    /// A secret is certainly a mistake, or is no key of a scheme that it signs by.
    #[error("is unusable: entry {number} {problem}")]
    Entry {
        /// The secret's place in the list, from 1.
        number: usize,
        /// What is wrong, as the entry's predicate.
        problem: &'static str,
    },
}

/// The forms of JSON that are read; an item may be a bare text.
const FORMS: &str = r#"{"secret": "..."}, {"tenant": "...", "secret": "..."}, or a list of these as [...] or {"secrets": [...]}"#;

const HASHES: [&str; 6] = ["sha1", "sha256", "sha384", "sha512", "md5", "hmac-sha256"];
const SIGNATURE: &str = "is a signature, not the secret: it begins with the name of a hash";
const VARIABLE: &str = "begins with the name of a variable or a field: put the value there alone";
const QUOTES: &str = "stands in quotes: take them away; if they belong to it, write JSON";
const PLACEHOLDER: &str = "is a placeholder or a reference: put the secret itself there";
const CONTROL: &str = "holds a line's end or a control character: separate secrets by commas; if it belongs to the secret, \
                       write JSON";
const DAMAGED: &str = "holds U+FFFD, which stands for characters that were lost: copy it anew";
const NO_SECRET: &str = "names a tenant and no secret";
const NO_TENANT: &str = "has an empty tenant: name the tenant, or leave the field out";
const EMPTY: &str = "is empty";

impl Unusable {
    pub(super) fn entry(index: usize, problem: &'static str) -> Self {
        Self::Entry {
            number: index + 1,
            problem,
        }
    }
}

/// Invisible characters: zero-width ones, byte order marks, marks of direction, soft hyphens,
/// blanks other than a space.
fn is_invisible(character: char) -> bool {
    let is_mark = matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    );
    is_mark || (character.is_whitespace() && !character.is_ascii())
}

/// The text without blanks and invisible characters at its ends.
pub(super) fn cleaned(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character.is_whitespace() || character.is_control() || is_invisible(character)
    })
}

pub(super) fn read(text: &str) -> Result<Secrets, Unusable> {
    let text = cleaned(text);
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    if looks_like_json(text) {
        // An escaped character is intended; a raw invisible one is a mistake.
        invisible(text)?;
        return read_json(text);
    }
    if is_quoted(text) {
        return Err(Unusable::Quoted);
    }
    read_list(text)
}

fn invisible(text: &str) -> Result<(), Unusable> {
    match text.chars().find(|it| is_invisible(*it)) {
        Some(character) => Err(Unusable::Invisible(character.into())),
        None => Ok(()),
    }
}

/// A secret may begin with a brace. JSON also ends with one, or has a quote beside it.
fn looks_like_json(text: &str) -> bool {
    let inside = |open, close| {
        let inside = text.strip_prefix(open)?;
        let quoted = inside.trim_start().starts_with(['"', '\'']);
        Some(quoted || inside.ends_with(close))
    };
    inside('{', '}').or(inside('[', ']')) == Some(true)
}

/// An object of the JSON, or the text alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    secret: String,
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Named(Named),
    List(List),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    secrets: Vec<Item>,
}

struct Item(Named);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

/// Refuses arrays, because serde would read one as an object by the order of its fields.
struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an object")
    }

    fn visit_str<E>(self, secret: &str) -> Result<Item, E> {
        Ok(Item(Named {
            secret: secret.to_owned(),
            tenant: None,
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Item, A::Error> {
        Named::deserialize(MapAccessDeserializer::new(object)).map(Item)
    }
}

fn read_json(text: &str) -> Result<Secrets, Unusable> {
    let items: Result<Vec<Item>, _> = match text.starts_with('[') {
        true => serde_json::from_str(text),
        false => serde_json::from_str(text).map(|document| match document {
            Document::Named(named) => vec![Item(named)],
            Document::List(List { secrets }) => secrets,
        }),
    };
    // The error's own text may quote the secret. An error about the shape may have no place.
    let items = items.map_err(|error| match error.line() {
        0 => Unusable::Json(String::new()),
        line => Unusable::Json(format!(" (line {line}, column {})", error.column())),
    })?;
    let entries = items.into_iter().enumerate().map(|(index, Item(named))| {
        let secret = Secret::new(&named.secret).ok_or(Unusable::entry(index, EMPTY))?;
        let tenant = named.tenant.as_deref().map(cleaned);
        if tenant == Some("") {
            return Err(Unusable::entry(index, NO_TENANT));
        }
        Ok(Entry {
            tenant: tenant.map(str::to_owned),
            secret,
            exact: true,
        })
    });
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    if entries.is_empty() {
        return Err(Unusable::Empty);
    }
    Ok(Secrets {
        entries,
        joined: Vec::new(),
        misread: Vec::new(),
    })
}

fn read_list(text: &str) -> Result<Secrets, Unusable> {
    let pieces = text.split(',').map(cleaned);
    let pieces: Vec<_> = pieces.filter(|piece| !piece.is_empty()).collect();
    if pieces.is_empty() {
        return Err(Unusable::Empty);
    }
    let some_name_tenants = pieces
        .iter()
        .any(|piece| tenant_and_secret(piece).is_some());
    let entries = pieces.iter().enumerate().map(|(index, piece)| {
        let wrong = |problem| Unusable::entry(index, problem);
        let named = tenant_and_secret(piece);
        let secret = named.map_or(*piece, |(_, secret)| secret);
        invisible(secret)?;
        let before = named.and_then(|(tenant, _)| problem_before(tenant));
        let problem = before.or_else(|| problem(secret));
        if named.is_none() && some_name_tenants && is_tenant_alone(piece) {
            return Err(wrong(NO_SECRET));
        }
        match problem {
            Some(problem) => Err(wrong(problem)),
            None => Ok(Entry {
                tenant: named.map(|(tenant, _)| tenant.to_owned()),
                secret: Secret::new(secret).ok_or(wrong(EMPTY))?,
                exact: false,
            }),
        }
    });
    let entries: Vec<_> = entries.collect::<Result<_, Unusable>>()?;
    let whole: Vec<_> = Secret::new(text).into_iter().collect();
    let (joined, misread) = match (some_name_tenants, entries.len()) {
        (true, _) => (Vec::new(), whole),
        (false, 1) => (Vec::new(), Vec::new()),
        (false, _) => (whole, Vec::new()),
    };
    Ok(Secrets {
        entries,
        joined,
        misread,
    })
}

/// Splits `tenant=secret`. A tenant's name holds letters, digits, `_`, `-` and `.`. The rest is a
/// secret only if it is more than base64 padding.
fn tenant_and_secret(piece: &str) -> Option<(&str, &str)> {
    let (tenant, secret) = piece.split_once('=')?;
    let (tenant, secret) = (cleaned(tenant), cleaned(secret));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let names = !tenant.is_empty() && tenant.bytes().all(is_name);
    let padding = secret.trim_matches('=').trim().is_empty();
    (names && !padding).then_some((tenant, secret))
}

/// A tenant without a secret, such as `comp_soho=`, which is no base64.
fn is_tenant_alone(piece: &str) -> bool {
    piece.ends_with('=') && STANDARD.decode(piece).is_err()
}

/// The mistake in a name before `=`, if no tenant can have that name.
fn problem_before(name: &str) -> Option<&'static str> {
    let is_hash = HASHES.iter().any(|hash| hash.eq_ignore_ascii_case(name));
    match is_hash {
        true => Some(SIGNATURE),
        false => is_field_name(name).then_some(VARIABLE),
    }
}

/// The mistake in a text that cannot be a secret.
fn problem(piece: &str) -> Option<&'static str> {
    let begins = |prefix: &str| {
        let head = piece.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let any_begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| begins(prefix));
    let encloses = |open: &str, close: &str| piece.starts_with(open) && piece.ends_with(close);
    let field = piece.split_once(": ").map_or("", |(field, _)| field);
    if is_quoted(piece) {
        return Some(QUOTES);
    }
    let hash = piece.split_once('=').map_or("", |(hash, _)| hash);
    if problem_before(hash) == Some(SIGNATURE) {
        return Some(SIGNATURE);
    }
    if is_field_name(field) || any_begins(&["export ", "x-zupy-", "x-aghanim-", "x-webhook-"]) {
        return Some(VARIABLE);
    }
    let references = [
        "arn:aws",
        "file://",
        "fileb://",
        "https://",
        "http://",
        "{{resolve:",
    ];
    let placeholders = [("<", ">"), ("${", "}"), ("$(", ")")];
    if any_begins(&references)
        || placeholders
            .iter()
            .any(|(open, close)| encloses(open, close))
    {
        return Some(PLACEHOLDER);
    }
    if piece.contains(char::is_control) {
        return Some(CONTROL);
    }
    piece.contains('\u{FFFD}').then_some(DAMAGED)
}

fn is_quoted(text: &str) -> bool {
    const PAIRS: [(&str, &str); 5] = [
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("\\\"", "\\\""),
        ("\\'", "\\'"),
    ];
    let mut pairs = PAIRS.iter();
    let enclosed = pairs.any(|(open, close)| {
        let inside = text.strip_prefix(open);
        inside.is_some_and(|inside| inside.ends_with(close))
    });
    // No keyboard that secrets come from writes these quotes.
    let typographic = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '‹', '›', '″'];
    enclosed || text.starts_with(typographic) || text.ends_with(typographic)
}

/// Names of fields that stand before a secret if somebody copied too much.
fn is_field_name(name: &str) -> bool {
    let letters = name
        .chars()
        .filter(|it| !matches!(it, '_' | '-' | '.' | ' '));
    let letters: String = letters.flat_map(char::to_lowercase).collect();
    let letters = letters.strip_suffix('s').unwrap_or(&letters);
    let names = [
        "secret",
        "key",
        "token",
        "password",
        "signature",
        "value",
        "secretstring",
        "secretkey",
        "signingsecret",
        "signingkey",
        "webhooksecret",
        "webhookkey",
        "clientsecret",
        "apikey",
        "sharedsecret",
        "hmac",
        "hmacsecret",
        "hmackey",
        "zupysecret",
        "zupywebhooksecret",
        "aghanimsecret",
        "aghanimwebhooksecret",
        "forwardsecret",
        "forwardingsecret",
        "sha1",
        "sha256",
        "sha384",
        "sha512",
        "md5",
    ];
    names.contains(&letters)
}
