//! Who reads a page: what they may see, in which language, and which address they asked for.

use jiff::Timestamp;
use reporting::{Parameters, Scope};

use crate::address::Address;
use crate::language::Language;
use crate::written::Written;

/// A signed-in reader's request.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) scope: Scope,
    pub(crate) language: Language,
    /// When the request came.
    pub(crate) now: Timestamp,
    /// Without the parameter of the language.
    pub(crate) address: Address,
}

impl Reader {
    /// The parameters of the request, each to be taken out by the page. A form sends its empty
    /// fields too: they count as absent.
    pub(crate) fn parameters(&self) -> Parameters {
        let given = self.address.parameters().iter();
        Parameters::of(given.filter(|(_, value)| !value.is_empty()).cloned())
    }

    /// Numbers and dates as this reader's language writes them.
    pub(crate) fn written(&self) -> Written {
        Written::new(self.language)
    }
}
