//! Judges a run in the system that got its webhooks, after that system has settled.

use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use http::Uri;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use webhooks::ledger::{Item, body};

use crate::http::is_loopback;
use crate::send::judge::{Found, Verdict};
use crate::send::many::Run;
use crate::send::settle::{Local, PATIENCE};
use crate::send::summary::Summary;
use crate::target::{self, Target, endpoint_at, endpoint_behind};

/// How often the command requests a page of a table, each time with the SDK's own retries: faults
/// stay on meanwhile.
const READ_ATTEMPTS: u32 = 20;
const READ_AGAIN: Duration = Duration::from_millis(200);

/// How long a deployed system gets before the command reads its tables once more.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How many findings of a kind the list has.
const LISTED: usize = 10;

/// Where the command judges a run.
#[derive(Debug)]
pub(super) enum Place {
    Local(Box<Watched>),
    /// A deployed system: the command can read only its tables.
    Tables(Box<Target>),
    /// The command does not judge the run, for this reason.
    Nowhere(String),
}

/// The system on this machine, which reports everything that it sent.
#[derive(Debug)]
pub(super) struct Watched {
    local: Local,
    target: Target,
    /// The faults before the run, with how often each had occurred.
    faults: Vec<Value>,
}

/// The result of judging a run.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// `None` without a judgement.
    verdict: Option<Verdict>,
    /// Why an expected judgement is missing.
    pub(super) error: Option<anyhow::Error>,
    notes: Vec<String>,
    took: Duration,
}

impl Place {
    /// Decides where to judge the run, before the first webhook.
    pub(super) async fn find(arguments: &target::Arguments, url: &Uri) -> anyhow::Result<Self> {
        if arguments.is_deployed() {
            let target = Target::connect(arguments).await?;
            return Ok(Self::Tables(Box::new(target)));
        }
        if !is_loopback(url) {
            let reason =
                "it is not this machine's system; --stack or --deployed has a system's tables read";
            return Ok(Self::Nowhere(reason.to_owned()));
        }
        let local = Local::behind(url).await?;
        let endpoint = match (&local, arguments.aws_port) {
            (_, Some(port)) => endpoint_at(port),
            (Some(local), None) => endpoint_behind(&local.gateway).await?,
            (None, None) => {
                let reason =
                    "no local system's gateway answers there; --aws-port has its tables read";
                return Ok(Self::Nowhere(reason.to_owned()));
            }
        };
        let target = Target::local(endpoint).await?;
        Ok(match local {
            Some(local) => Self::Local(Box::new(Watched {
                faults: local.faults().await?,
                local,
                target,
            })),
            None => Self::Tables(Box::new(target)),
        })
    }

    /// Waits until the system has settled, and judges the events that it accepted.
    pub(super) async fn judge(&self, run: &Run<'_>, summary: &Summary) -> Judged {
        let start = Instant::now();
        let mut judged = Judged::default();
        let progress =
            ProgressBar::new_spinner().with_message("waiting until the system has settled");
        progress.enable_steady_tick(Duration::from_millis(100));
        let verdict = match self {
            Self::Nowhere(reason) => {
                let note = format!("the command does not judge lost and doubled events: {reason}");
                judged.notes.push(note);
                Ok(None)
            }
            _ if !summary.left_something() => Ok(Some(Verdict::default())),
            Self::Local(watched) => judged.local(watched, run, summary).await.map(Some),
            Self::Tables(target) => judged.tables(target, run, summary).await.map(Some),
        };
        progress.finish_and_clear();
        match verdict {
            Ok(verdict) => judged.verdict = verdict,
            Err(error) => judged.error = Some(error.context("judging lost and doubled events")),
        }
        judged.took = start.elapsed();
        judged
    }
}

impl Judged {
    async fn local(
        &mut self,
        watched: &Watched,
        run: &Run<'_>,
        summary: &Summary,
    ) -> anyhow::Result<Verdict> {
        let Watched { local, target, .. } = watched;
        let mut outbox_since = None;
        loop {
            local.run_outbox().await?;
            let waiting = local.settle().await?;
            let messages = local.messages(&run.mark()).await?;
            let found = Found::with_messages(Some(messages));
            let found = read(target, &run.mark(), found).await?;
            // The outbox may have failed by a fault, or its tasks may have arrived just now.
            if waiting == 0 && found.waits_for_the_outbox() {
                let since = *outbox_since.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE {
                    continue;
                }
            }
            if waiting > 0 {
                let patience_s = PATIENCE.as_secs();
                self.notes.push(format!(
                    "the system did not settle: {waiting} of its messages wait, and no function \
                     finished one for {patience_s} s"
                ));
            }
            let verdict = found.judge(&summary.taken, |index| run.body(index), &run.mark())?;
            if !verdict.doubled.is_empty() {
                let faults = local.faults().await?;
                self.notes.extend(explanations(&watched.faults, &faults));
            }
            return Ok(verdict);
        }
    }

    /// Reads the tables again as long as fewer and fewer records are missing.
    async fn tables(
        &mut self,
        target: &Target,
        run: &Run<'_>,
        summary: &Summary,
    ) -> anyhow::Result<Verdict> {
        self.notes.push(
            "the command does not judge messages to customers: only the local system keeps them"
                .to_owned(),
        );
        let mut least = usize::MAX;
        let mut moved_at = Instant::now();
        loop {
            let found = read(target, &run.mark(), Found::with_messages(None)).await?;
            let verdict = found.judge(&summary.taken, |index| run.body(index), &run.mark())?;
            if verdict.lost.len() < least {
                least = verdict.lost.len();
                moved_at = Instant::now();
            }
            if verdict.lost.is_empty() || moved_at.elapsed() > PATIENCE {
                return Ok(verdict);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) fn is_success(&self) -> bool {
        let is_clean = |it: &Verdict| it.lost.is_empty() && it.doubled.is_empty();
        self.error.is_none() && self.verdict.as_ref().is_none_or(is_clean)
    }

    /// Adds the verdict to the figures of the run.
    pub(super) fn add_to(&self, figures: &mut Value) {
        let verdict = self.verdict.as_ref();
        figures["judged"] = json!(verdict.map(|it| it.judged));
        figures["lost"] = json!(verdict.map(|it| it.lost.len()));
        figures["doubled"] = json!(verdict.map(|it| it.doubled.len()));
        if let Some(verdict) = verdict {
            figures["lost_events"] = json!(verdict.lost.iter().take(LISTED).collect::<Vec<_>>());
            figures["doubled_events"] =
                json!(verdict.doubled.iter().take(LISTED).collect::<Vec<_>>());
        }
        figures["settled_ms"] = json!(self.took.as_millis() as u64);
        figures["notes"] = json!(self.notes);
        if let Some(error) = &self.error {
            figures["error"] = json!(format!("{error:#}"));
        }
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(verdict) = &self.verdict {
            for (name, findings) in [("lost", &verdict.lost), ("doubled", &verdict.doubled)] {
                writeln!(f, "{name:<12}{}", findings.len())?;
                for finding in findings.iter().take(LISTED) {
                    writeln!(f, "  {}: {}", finding.event, finding.what)?;
                }
                if findings.len() > LISTED {
                    writeln!(f, "  and {} more", findings.len() - LISTED)?;
                }
            }
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Reads what the tables hold of a run.
async fn read(target: &Target, mark: &str, mut found: Found) -> anyhow::Result<Found> {
    let events = target
        .dynamodb
        .scan()
        .table_name(target.table("events")?)
        .consistent_read(true)
        .filter_expression("contains(coupon, :mark)")
        .expression_attribute_values(":mark", AttributeValue::S(mark.to_owned()));
    let mut rows = Vec::new();
    scan(target, events, |row| rows.push(row.clone())).await?;
    for row in body::join(rows) {
        found.take_event(&row);
    }
    // Some providers' codes are not the run's own, so no mark can filter the accounts.
    let accounts = target
        .dynamodb
        .scan()
        .table_name(target.table("members")?)
        .consistent_read(true)
        .projection_expression("#member, entry")
        .expression_attribute_names("#member", "member");
    scan(target, accounts, |row| found.take_account(row)).await?;
    Ok(found)
}

async fn scan(
    target: &Target,
    table: ScanFluentBuilder,
    mut take: impl FnMut(&Item),
) -> anyhow::Result<()> {
    let mut from = None;
    loop {
        let mut attempts = 1;
        let page = loop {
            let page = table.clone().set_exclusive_start_key(from.clone()).send();
            match page.await {
                Ok(page) => break page,
                Err(error) if attempts == READ_ATTEMPTS => {
                    let name = table.get_table_name().clone().unwrap_or_default();
                    let error = target.explain(error);
                    return Err(error).with_context(|| format!("reading the table {name}"));
                }
                Err(_) => tokio::time::sleep(READ_AGAIN).await,
            }
            attempts += 1;
        };
        page.items().iter().for_each(&mut take);
        match page.last_evaluated_key {
            Some(key) => from = Some(key),
            None => return Ok(()),
        }
    }
}

/// Services that repeat a call after a lost answer without a second effect.
const REPEATABLE: [&str; 3] = ["dynamodb", "sqs", "secretsmanager"];

/// Faults of the run that may explain a doubled message: the sender cannot know whether the first
/// one went out.
fn explanations(before: &[Value], after: &[Value]) -> Vec<String> {
    let applied = |faults: &[Value], id: &Value| {
        let fault = faults.iter().find(|fault| &fault["id"] == id);
        fault.and_then(|it| it["applied"].as_u64()).unwrap_or(0)
    };
    let explains = |fault: &&Value| {
        let by_delivery = fault["function"].as_str().is_none_or(|it| it == "delivery");
        let service = fault["service"].as_str().unwrap_or_default();
        match fault["mode"].as_str() {
            Some("lose_response") => by_delivery && !REPEATABLE.contains(&service),
            Some("kill") => by_delivery,
            _ => false,
        }
    };
    let faults = after.iter().filter(explains).filter_map(|fault| {
        let times = applied(after, &fault["id"]) - applied(before, &fault["id"]);
        let (id, mode) = (&fault["id"], fault["mode"].as_str()?);
        (times > 0).then(|| {
            format!(
                "the fault {id} ({mode}) occurred {times} times: a message without an answer goes out again"
            )
        })
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::judge::Finding;

    #[test]
    fn a_verdict_lists_the_first_of_what_it_found() {
        let finding = |n: u32| Finding {
            event: format!("zupy#comp#CP-{n}/redeemed"),
            what: "email sent 2 times".into(),
        };
        let judged = Judged {
            verdict: Some(Verdict {
                judged: 20,
                lost: Vec::new(),
                doubled: (1..=12).map(finding).collect(),
            }),
            ..Judged::default()
        };
        assert!(!judged.is_success());
        let printed = judged.to_string();
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[0], "lost        0");
        assert_eq!(lines[1], "doubled     12");
        assert_eq!(lines[2], "  zupy#comp#CP-1/redeemed: email sent 2 times");
        assert_eq!(lines[12..], ["  and 2 more"]);
        let mut figures = json!({"sent": 20});
        judged.add_to(&mut figures);
        assert_eq!(figures["doubled"], 12);
        assert_eq!(figures["doubled_events"].as_array().unwrap().len(), LISTED);
        assert_eq!(figures["lost"], 0);
        assert_eq!(figures["lost_events"], json!([]));
    }

    #[test]
    fn a_run_without_a_verdict_is_neither_clean_nor_counted() {
        let judged = Judged {
            error: Some(anyhow::anyhow!("nothing listens")),
            ..Judged::default()
        };
        assert!(!judged.is_success());
        let mut figures = json!({});
        judged.add_to(&mut figures);
        assert_eq!(figures["lost"], Value::Null);
        assert_eq!(figures["error"], "nothing listens");
    }

    #[test]
    fn a_fault_that_hides_a_message_from_its_sender_explains_a_second_one() {
        let fault = |id: u32, mode: &str, applied: u32| json!({"id": id, "service": "*", "mode": mode, "applied": applied});
        let before = [fault(1, "lose_response", 5)];
        let mut elsewhere = fault(3, "lose_response", 9);
        elsewhere["service"] = json!("sqs");
        let after = [
            fault(1, "lose_response", 7),
            fault(2, "fail", 100),
            elsewhere,
            json!({
                "id": 4,
                "service": "lambda",
                "function": "delivery",
                "mode": "kill",
                "applied": 1
            }),
            json!({
                "id": 5,
                "service": "lambda",
                "function": "retry",
                "mode": "kill",
                "applied": 1
            }),
        ];
        let printed = explanations(&before, &after);
        assert_eq!(printed.len(), 2, "{printed:?}");
        assert!(
            printed[0].contains("fault 1 (lose_response) occurred 2 times"),
            "{printed:?}"
        );
        assert!(printed[1].contains("fault 4 (kill)"), "{printed:?}");
        assert_eq!(explanations(&after, &after), Vec::<String>::new());
    }
}
