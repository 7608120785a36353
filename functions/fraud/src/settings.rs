//! Which rules run for one tenant, and their limits.

use std::collections::BTreeSet;

use crate::rapid::Rapid;

/// The settings of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The rules that do not run.
    pub(crate) off: BTreeSet<&'static str>,
    pub(crate) rapid: Rapid,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            off: BTreeSet::new(),
            rapid: Rapid {
                count: 5,
                window_s: 3600,
            },
        }
    }
}

impl Settings {
    pub(crate) fn runs(&self, rule: &str) -> bool {
        !self.off.contains(rule)
    }
}
