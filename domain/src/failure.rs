//! Failures of work on a message, and how the failures of its parts unite.

use std::time::Duration;

/// The most bytes of a reason that unites several failures.
const REASONS_MAX_BYTES: usize = 400;

/// Why a message is not done.
#[derive(Debug)]
pub enum Failure {
    /// One of our stores or queues does not answer. The message is retried with a growing delay,
    /// for as long as it takes.
    Transient(anyhow::Error),
    /// An outside system fails. The message is retried for a day, and not before the time that the
    /// outside system names.
    Outside {
        /// The reason, for the log and for the dead-letter queue.
        error: anyhow::Error,
        /// The least wait before the next attempt; `None` if the usual growing delay is enough.
        after: Option<Duration>,
    },
    /// The work cannot begin yet, which is no failure. The message is retried after this time.
    Early(Duration),
    /// No attempt can succeed. The message goes to the dead-letter queue, with the reason.
    Permanent(anyhow::Error),
}

impl Failure {
    /// Unites the failures of two parts of a message. If one of them asks for a retry, the message
    /// is retried, at the earlier of their times. A permanent failure yields to every other
    /// failure. A failure outside limits the retries to a day for both, except beside a transient
    /// one.
    pub fn and(self, other: Self) -> Self {
        use Failure::{Early, Outside, Permanent, Transient};
        // The first reasons of many are enough to find the fault.
        let both = |a: anyhow::Error, b: &anyhow::Error| match format!("{a:#}").len() {
            0..REASONS_MAX_BYTES => a.context(format!("{b:#}; and")),
            _ => a,
        };
        match (self, other) {
            (Transient(a), Transient(b) | Outside { error: b, .. } | Permanent(b))
            | (Outside { error: b, .. } | Permanent(b), Transient(a)) => Transient(both(a, &b)),
            (Transient(a), Early(_)) | (Early(_), Transient(a)) => Transient(a),
            (
                Outside { error: a, after },
                Outside {
                    error: b,
                    after: other,
                },
            ) => Outside {
                error: both(a, &b),
                after: after.zip(other).map(|(a, b)| a.min(b)),
            },
            (Outside { error, after }, Early(by)) | (Early(by), Outside { error, after }) => {
                Outside {
                    error,
                    after: after.map(|after| after.min(by)),
                }
            }
            (Outside { error: a, after }, Permanent(b))
            | (Permanent(b), Outside { error: a, after }) => Outside {
                error: both(a, &b),
                after,
            },
            (Early(a), Early(b)) => Early(a.min(b)),
            (Early(by), Permanent(_)) | (Permanent(_), Early(by)) => Early(by),
            (Permanent(a), Permanent(b)) => Permanent(both(a, &b)),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Transient(error)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_failures_of_two_parts_become_one() {
        let failure = |name: &str| match name.split_once(' ') {
            Some(("early", s)) => Failure::Early(Duration::from_secs(s.parse().unwrap())),
            Some(("outside", s)) => Failure::Outside {
                error: anyhow!("busy"),
                after: s.parse().ok().map(Duration::from_secs),
            },
            _ if name == "permanent" => Failure::Permanent(anyhow!("never")),
            _ => Failure::Transient(anyhow!("down")),
        };
        let name = |failure: Failure| match failure {
            Failure::Transient(_) => "transient".to_owned(),
            Failure::Outside { after, .. } => match after {
                Some(after) => format!("outside {}", after.as_secs()),
                None => "outside at once".into(),
            },
            Failure::Early(by) => format!("early {}", by.as_secs()),
            Failure::Permanent(_) => "permanent".into(),
        };
        for (a, b, expected) in [
            ("transient", "transient", "transient"),
            ("transient", "outside 9", "transient"),
            ("transient", "early 9", "transient"),
            ("transient", "permanent", "transient"),
            ("outside 9", "outside 7", "outside 7"),
            ("outside 9", "outside at once", "outside at once"),
            ("outside 9", "early 7", "outside 7"),
            ("outside at once", "early 7", "outside at once"),
            ("outside 9", "permanent", "outside 9"),
            ("early 9", "early 7", "early 7"),
            ("early 9", "permanent", "early 9"),
            ("permanent", "permanent", "permanent"),
        ] {
            assert_eq!(name(failure(a).and(failure(b))), expected, "{a} and {b}");
            assert_eq!(name(failure(b).and(failure(a))), expected, "{b} and {a}");
        }
    }

    #[test]
    fn the_reason_for_many_failures_is_short() {
        let failures = (0..1000).map(|n| Failure::from(anyhow!("the coupon {n} cannot be sent")));
        let Some(Failure::Transient(error)) = failures.reduce(Failure::and) else {
            panic!("they may pass");
        };
        assert!(format!("{error:#}").len() < 500);
    }
}
