//! The results of a replay, and how the command prints them.

use serde::Serialize;

use super::failed;

/// The result for one task of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outcome {
    pub(super) event: String,
    /// Absent if the result is about the whole event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<&'static str>,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum What {
    Sent {
        /// The deleted records; without them, the task runs again.
        forgotten: Vec<String>,
        /// Failed records that the task processes again; it processes nothing else.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        repeated: Vec<String>,
    },
    Skipped {
        reason: String,
    },
    Failed {
        error: String,
    },
}

impl Outcome {
    pub(super) fn skipped(event: &str, task: Option<&'static str>, reason: String) -> Self {
        Self {
            event: event.to_owned(),
            task,
            what: What::Skipped { reason },
        }
    }

    /// Whether the event had no failure.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.what, What::Skipped { reason } if reason == failed::NOTHING)
    }

    pub(super) fn failed(event: &str, task: Option<&'static str>, error: &anyhow::Error) -> Self {
        Self {
            event: event.to_owned(),
            task,
            what: What::Failed {
                error: format!("{error:#}"),
            },
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    dry_run: bool,
    sent: Vec<&'a Outcome>,
    skipped: Vec<&'a Outcome>,
    failed: Vec<&'a Outcome>,
}

impl<'a> Report<'a> {
    pub(super) fn new(outcomes: &'a [Outcome], dry_run: bool) -> Self {
        let mut report = Self {
            dry_run,
            sent: Vec::new(),
            skipped: Vec::new(),
            failed: Vec::new(),
        };
        for outcome in outcomes {
            let list = match outcome.what {
                What::Sent { .. } => &mut report.sent,
                What::Skipped { .. } => &mut report.skipped,
                What::Failed { .. } => &mut report.failed,
            };
            list.push(outcome);
        }
        report
    }
}

pub(super) fn describe(outcomes: &[Outcome], dry_run: bool, skipped_too: bool) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let task = outcome
            .task
            .map_or(String::new(), |task| format!(" {task}"));
        let name = format!("{}{task}", outcome.event);
        match &outcome.what {
            What::Sent {
                forgotten,
                repeated,
            } => {
                let sent = if dry_run { "would send" } else { "sent" };
                text.push_str(&format!("{sent:<11}{name}"));
                if !forgotten.is_empty() {
                    text.push_str(&format!(", forgetting {}", forgotten.join(", ")));
                }
                if !repeated.is_empty() {
                    text.push_str(&format!(", only {}", repeated.join(", ")));
                }
                text.push('\n');
            }
            What::Skipped { reason } if skipped_too => {
                text.push_str(&format!("{:<11}{name}: {reason}\n", "skipped"));
            }
            What::Skipped { .. } => {}
            What::Failed { error } => {
                text.push_str(&format!("{:<11}{name}: {error}\n", "failed"));
            }
        }
    }
    let report = Report::new(outcomes, dry_run);
    let sent = if dry_run { "would be sent" } else { "sent" };
    text.push_str(&format!(
        "{} {sent}, {} skipped, {} failed\n",
        report.sent.len(),
        report.skipped.len(),
        report.failed.len()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "zupy#comp#CP-1/redeemed";

    #[test]
    fn the_summary_counts_what_is_not_listed() {
        let outcomes = [
            Outcome {
                event: EVENT.into(),
                task: Some("delivery"),
                what: What::Sent {
                    forgotten: vec!["delivery/email".into()],
                    repeated: Vec::new(),
                },
            },
            Outcome::skipped(EVENT, Some("delivery"), "done".into()),
        ];
        assert_eq!(
            describe(&outcomes, true, false),
            format!(
                "would send {EVENT} delivery, forgetting delivery/email\n1 would be sent, 1 \
                 skipped, 0 failed\n"
            )
        );
    }
}
