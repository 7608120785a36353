//! The frame around every page: its title, the links to other pages, and the reader's settings.

use crate::address::Address;
use crate::assets::{ICON_FILE, STYLE_SHEET};
use crate::language::{self, Language};
use crate::reader::Reader;
use crate::words::common::Common;

/// The pages that the navigation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Events,
    Operations,
    /// A page that the navigation does not name.
    Elsewhere,
}

/// A link of the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) text: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// The values of `layout.html`.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) language: Language,
    pub(crate) words: &'static Common,
    pub(crate) title: String,
    pub(crate) style: &'static str,
    pub(crate) icon: &'static str,
    /// Empty without a session.
    pub(crate) links: Vec<Link>,
    /// The tenants that the reader may see; `None` without a session.
    pub(crate) whose: Option<String>,
    /// The same page in the other language.
    pub(crate) switch: String,
}

impl Frame {
    /// The words of the frame, from which a page may take its title.
    pub(crate) fn words_of(reader: &Reader) -> &'static Common {
        Common::of(reader.language)
    }

    /// The frame of a page for a signed-in reader.
    pub(crate) fn new(reader: &Reader, place: Place, title: impl Into<String>) -> Self {
        let mut frame = Self::of_stranger(reader.language, &reader.address, title);
        let words = frame.words;
        let kept = kept(&reader.address);
        let mut links = vec![
            (Place::Overview, words.overview, "/dashboard"),
            (Place::Events, words.events, "/dashboard/events"),
        ];
        // Queues belong to all tenants, so a reader of some tenants gets no link to them.
        if reader.scope.named().is_none() {
            links.push((Place::Operations, words.operations, "/dashboard/operations"));
        }
        let links = links.into_iter().map(|(own, text, path)| Link {
            text,
            href: match own {
                Place::Operations => path.to_owned(),
                _ => kept.on(path).to_string(),
            },
            is_current: own == place,
        });
        frame.links = links.collect();
        frame.whose = Some(match reader.scope.named() {
            None => words.all_tenants.to_owned(),
            Some(tenants) => {
                let tenants: Vec<_> = tenants.iter().map(String::as_str).collect();
                tenants.join(", ")
            }
        });
        frame
    }

    /// The frame of a page without a session.
    pub(crate) fn of_stranger(
        language: Language,
        address: &Address,
        title: impl Into<String>,
    ) -> Self {
        let other = language.other();
        Self {
            language,
            words: Common::of(language),
            title: title.into(),
            style: &STYLE_SHEET.path,
            icon: &ICON_FILE.path,
            links: Vec::new(),
            whose: None,
            switch: address.with(language::NAME, other.tag()).to_string(),
        }
    }
}

/// The parameters that links between pages keep: tenants and days.
fn kept(address: &Address) -> Address {
    let mut kept = Address::new("/dashboard");
    for (name, value) in address.parameters() {
        if ["tenant", "provider", "timeframe", "from", "to"].contains(&name.as_str()) {
            kept = kept.with(name, value);
        }
    }
    kept
}
