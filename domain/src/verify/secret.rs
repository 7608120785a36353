//! The secrets that a sender may sign with. Each may belong to one tenant.

#[cfg(test)]
mod tests;
mod text;
mod token;

use std::fmt;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::{Encoding, Scheme};

pub use text::Unusable;
pub use token::{Holder, mac};

/// One secret that a provider may sign with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret without white space and invisible characters at its ends; `None` if nothing is
    /// left. A secret stored with a line's end, or with a byte order mark, is the commonest
    /// mistake.
    pub fn new(text: &str) -> Option<Self> {
        let text = text::cleaned(text);
        (!text.is_empty()).then(|| Self(text.as_bytes().into()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The beginning of a signature with this secret's own text as the key.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes a key of any length")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// A secret, and the other facts in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tenant: Option<String>,
    pub(super) secret: Secret,
    /// Whether the secret was written as JSON, so no character of it can be a mistake.
    exact: bool,
}

/// All secrets that are valid now; during a rotation there are several. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    entries: Vec<Entry>,
    /// The whole of a text that was read as several secrets, because a comma may be part of a
    /// secret.
    joined: Vec<Secret>,
    /// The whole of a text that was read as `tenant=secret`. If a body is signed with it, the text
    /// was one secret.
    misread: Vec<Secret>,
}

impl Secrets {
    /// Reads JSON, or a comma-separated list of `secret` or `tenant=secret`;
    /// `docs/adr/0010-secrets.md` has the rules.
    ///
    /// # Errors
    /// The text is certainly a mistake. The error names the place and the problem, never the text.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        text::read(text)
    }

    /// The first secret, which new signatures are made with.
    pub fn first(&self) -> &Secret {
        &self.entries[0].secret
    }

    /// All secrets, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        self.entries.iter().map(|entry| &entry.secret)
    }

    /// The secrets that sign for a tenant: the tenant's own, and those without a tenant.
    pub fn of_tenant(&self, tenant: &str) -> impl Iterator<Item = &Secret> {
        let may_sign = move |of: &Option<String>| of.as_deref().is_none_or(|of| of == tenant);
        let entries = self.entries.iter();
        entries
            .filter(move |entry| may_sign(&entry.tenant))
            .map(|entry| &entry.secret)
    }

    /// The secrets that name this tenant or no tenant; `None` if there are none.
    pub fn only_of(&self, tenant: &str) -> Option<Self> {
        let of = |entry: &&Entry| entry.tenant.as_deref().is_none_or(|of| of == tenant);
        let entries: Vec<_> = self.entries.iter().filter(of).cloned().collect();
        (!entries.is_empty()).then_some(Self {
            entries,
            joined: self.joined.clone(),
            misread: Vec::new(),
        })
    }

    /// Adds other secrets, for instance those that were valid before.
    pub fn and(mut self, others: Self) -> Self {
        fn add<T: PartialEq>(to: &mut Vec<T>, others: Vec<T>) {
            for other in others {
                if !to.contains(&other) {
                    to.push(other);
                }
            }
        }
        add(&mut self.entries, others.entries);
        add(&mut self.joined, others.joined);
        add(&mut self.misread, others.misread);
        self
    }

    /// Checks that all secrets are keys of the schemes that they sign by.
    ///
    /// # Errors
    /// A secret is no key of a scheme. The error names the first such secret.
    pub fn check(&self, schemes: &[Scheme]) -> Result<(), Unusable> {
        let mut entries = self.entries.iter().enumerate();
        let wrong = entries.find_map(|(index, entry)| {
            let mut schemes = schemes.iter();
            let problem = schemes.find_map(|scheme| problem_for(scheme, entry))?;
            Some((index, problem))
        });
        match wrong {
            Some((index, problem)) => Err(Unusable::entry(index, problem)),
            None => Ok(()),
        }
    }

    /// Every secret that may have signed: the entries, then the whole texts.
    pub(super) fn signers(&self) -> impl Iterator<Item = (Option<&str>, &Secret)> {
        let entries = self.entries.iter();
        let entries = entries.map(|entry| (entry.tenant.as_deref(), &entry.secret));
        entries.chain(self.joined.iter().map(|secret| (None, secret)))
    }

    /// The texts that were read as `tenant=secret`, each as one secret. A signature with such a
    /// text is refused: the named tenant knows the text and could sign for any other tenant.
    pub fn misread(&self) -> Option<Self> {
        let entries = self.misread.iter().map(|secret| Entry {
            tenant: None,
            secret: secret.clone(),
            exact: true,
        });
        let entries: Vec<_> = entries.collect();
        (!entries.is_empty()).then_some(Self {
            entries,
            joined: Vec::new(),
            misread: Vec::new(),
        })
    }
}

fn problem_for(scheme: &Scheme, entry: &Entry) -> Option<&'static str> {
    let begins_with_whsec = entry.secret.bytes().starts_with(b"whsec_");
    match scheme.encoding {
        Encoding::Hex { .. } if begins_with_whsec && !entry.exact => Some(
            "begins with whsec_, which secrets of Standard Webhooks do and this provider's do not; if it belongs to \
             it, write JSON",
        ),
        Encoding::Hex { .. } => None,
        Encoding::StandardWebhooks if entry.secret.bytes() == b"none" => {
            Some("is the word none: put a secret of Standard Webhooks there, base64 after whsec_")
        }
        Encoding::StandardWebhooks if !scheme.takes(&entry.secret) => {
            Some("is none of Standard Webhooks: it must be base64, after whsec_ or alone")
        }
        Encoding::StandardWebhooks => None,
    }
}
