//! A problem of a payload: which field is wrong, and why.

use serde::{Deserialize, Serialize};

/// One problem of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A path such as `usage.items_affected[0].quantity`.
    pub field: String,
    /// What is wrong, as the field's predicate, without the value: `must be greater than 0`.
    pub problem: String,
}
