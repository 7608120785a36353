//! The reader of a page: their scope, their language, and the address that they asked for.

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
    /// The address, without the parameter of the language.
    pub(crate) address: Address,
}

impl Reader {
    /// The parameters of the request, from which the page takes its own. A form sends its empty
    /// fields too, and they count as absent.
    pub(crate) fn parameters(&self) -> Parameters {
        let given = self.address.parameters().iter();
        Parameters::of(given.filter(|(_, value)| !value.is_empty()).cloned())
    }

    /// The way in which this reader's language writes numbers and dates.
    pub(crate) fn written(&self) -> Written {
        Written::new(self.language)
    }
}
