//! `coupons refused`: lists verified bodies without a readable event; `coupons replay` uses this
//! module to read them again.

use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use webhooks::event::EventKey;
use webhooks::ledger::{Item, Ledger, REFUSED, Refused};
use webhooks::per_tenant::Zones;
use webhooks::provider::wire::Problem;
use webhooks::provider::{Content, aghanim, zupy};
use webhooks::receiver::{Receiver, Retaken, Taken};

use crate::lives::rows;
use crate::output::{harmless, readable, say, say_json};
use crate::target::{self, Target};

const EXAMPLES: &str = "\
Examples:
  coupons refused
  coupons refused --stack coupons --json
  coupons refused 'refused#zupy/0c1d2e3f405162738495a6b7c8d9eafb' --body
  coupons replay --refused --dry-run";

/// The providers that may have refused bodies.
const PROVIDERS: [&str; 2] = [aghanim::NAME, zupy::NAME];

/// List verified bodies without a readable event, with the problems of each.
///
/// The ledger keeps a refused body as long as an event. After a fix, `coupons replay --refused`
/// reads it again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only this body, by the key that the list shows
    #[arg(value_name = "KEY", value_parser = key)]
    key: Option<EventKey>,
    /// Also show the bodies as the provider sent them, with personal data
    #[arg(long)]
    body: bool,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

/// A refused body as the list shows it.
#[derive(Debug, Serialize)]
struct Shown {
    key: String,
    received_at: Timestamp,
    provider: String,
    /// The scheme of the signature, which determines the body's format.
    scheme: String,
    /// The tenant that the secret names, if it names one.
    tenant: Option<String>,
    problems: Vec<Problem>,
    bytes: usize,
    /// The event that a later replay recorded from the body.
    taken_as: Option<String>,
    taken_at: Option<Timestamp>,
    /// When an operator erased the body, because it named a member who asked for that.
    erased_at: Option<Timestamp>,
    forget_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// Whether the text has the form of a refused body's key.
pub(crate) fn is_key(text: &str) -> bool {
    text.starts_with(REFUSED)
}

fn key(text: &str) -> Result<EventKey, String> {
    let text = text.trim();
    let key = EventKey::parse(text).filter(|_| is_key(text));
    key.ok_or_else(|| "it must be a key that `coupons refused` lists: refused#zupy/...".to_owned())
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let all = read(&target, arguments.key.as_ref()).await?;
    let shown: Vec<_> = all
        .iter()
        .map(|refused| Shown::of(refused, arguments.body))
        .collect();
    if arguments.json {
        say_json(&shown)?;
    } else {
        say(&harmless(&describe(&shown)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The refused bodies, the oldest first; or only the body with this key.
async fn read(target: &Target, key: Option<&EventKey>) -> anyhow::Result<Vec<Refused>> {
    if let Some(key) = key {
        let of_partition = rows(target, key.coupon(), Some(key.entry())).await?;
        let found: Vec<_> = of_partition.iter().filter_map(Refused::of).collect();
        match found.into_iter().find(|it| it.key == *key) {
            Some(refused) => return Ok(vec![refused]),
            None => {
                bail!(
                    "no refused body has the key {key}, or it has expired; `coupons refused` lists all"
                )
            }
        }
    }
    let mut all = Vec::new();
    for provider in PROVIDERS {
        let of_provider = refused_rows(target, provider).await?;
        all.extend(of_provider.iter().filter_map(Refused::of));
    }
    all.sort_by(|a, b| (a.received_at, a.key.entry()).cmp(&(b.received_at, b.key.entry())));
    Ok(all)
}

pub(crate) async fn refused_rows(target: &Target, provider: &str) -> anyhow::Result<Vec<Item>> {
    rows(target, &format!("{REFUSED}{provider}"), None).await
}

impl Shown {
    fn of(refused: &Refused, with_body: bool) -> Self {
        let (taken_at, taken_as) = refused.taken.clone().unzip();
        let body = with_body.then(|| String::from_utf8_lossy(&refused.body).into_owned());
        Self {
            key: refused.key.to_string(),
            received_at: refused.received_at,
            provider: refused.provider.clone(),
            scheme: refused.scheme.clone(),
            tenant: refused.tenant.clone(),
            problems: refused.problems.clone(),
            bytes: refused.body.len(),
            taken_as,
            taken_at,
            erased_at: refused.erased_at,
            forget_at: refused.forget_at,
            body,
        }
    }
}

fn describe(all: &[Shown]) -> String {
    let mut text = String::new();
    for shown in all {
        let tenant = shown.tenant.as_deref().unwrap_or("no tenant named");
        text.push_str(&format!(
            "{}\n  received {}, {}, {tenant}, {} bytes\n",
            shown.key, shown.received_at, shown.scheme, shown.bytes
        ));
        if let (Some(event), Some(at)) = (&shown.taken_as, shown.taken_at) {
            text.push_str(&format!("  taken as {event} at {at}\n"));
        }
        if let Some(at) = shown.erased_at {
            text.push_str(&format!(
                "  erased at {at} at the request of a member whom it named\n"
            ));
        }
        for Problem { field, problem } in &shown.problems {
            text.push_str(&format!("  {field} {problem}\n"));
        }
        for line in shown.body.iter().flat_map(|body| {
            readable(body.as_bytes())
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        }) {
            text.push_str(&format!("    {line}\n"));
        }
        text.push('\n');
    }
    let open = all
        .iter()
        .filter(|refused| refused.taken_as.is_none() && refused.erased_at.is_none());
    text.push_str(&format!(
        "{} refused, {} of them not taken since\n",
        all.len(),
        open.count()
    ));
    text
}

/// Which refused bodies `coupons replay` reads again.
pub(crate) enum Which {
    All { since: Option<Timestamp> },
    One(String),
}

/// The result of reading a refused body again.
#[derive(Debug, Serialize)]
struct Outcome {
    refused: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum What {
    Taken {
        event: String,
        /// `new`, `duplicate`, or `conflict`: the ledger has contradicting contents, and keeps
        /// both.
        result: &'static str,
    },
    Skipped {
        reason: String,
    },
    Failed {
        error: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem>,
    },
}

/// Reads refused bodies again as their webhooks would, with today's code.
pub(crate) async fn replay(
    target: Target,
    which: Which,
    dry_run: bool,
    as_json: bool,
    zones: &Zones,
) -> anyhow::Result<ExitCode> {
    let one;
    let (only, since) = match &which {
        Which::One(text) => {
            one = key(text).map_err(anyhow::Error::msg)?;
            (Some(&one), None)
        }
        Which::All { since } => (None, *since),
    };
    let mut all = read(&target, only).await?;
    all.retain(|body| since.is_none_or(|since| body.received_at >= since));
    let mut outcomes = Vec::new();
    for refused in &all {
        let what = again(&target, refused, dry_run, zones).await;
        outcomes.push(Outcome {
            refused: refused.key.to_string(),
            what: what.unwrap_or_else(|error| What::Failed {
                error: format!("{error:#}"),
                problems: Vec::new(),
            }),
        });
    }
    let is_failed = |it: &&Outcome| matches!(it.what, What::Failed { .. });
    let is_taken = |it: &&Outcome| matches!(it.what, What::Taken { .. });
    let is_skipped = |it: &&Outcome| matches!(it.what, What::Skipped { .. });
    let failed = outcomes.iter().filter(is_failed).count();
    if as_json {
        let those =
            |is: &dyn Fn(&&Outcome) -> bool| -> Vec<_> { outcomes.iter().filter(is).collect() };
        say_json(&json!({
            "dry_run": dry_run,
            "taken": those(&is_taken),
            "skipped": those(&is_skipped),
            "failed": those(&is_failed),
        }))?;
    } else {
        let mut text: String = outcomes
            .iter()
            .map(|it| describe_outcome(it, dry_run))
            .collect();
        let taken = if dry_run { "would be taken" } else { "taken" };
        text.push_str(&format!(
            "{} {taken}, {} skipped, {failed} failed\n",
            outcomes.iter().filter(is_taken).count(),
            outcomes.iter().filter(is_skipped).count(),
        ));
        say(&harmless(&text))?;
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn again(
    target: &Target,
    refused: &Refused,
    dry_run: bool,
    zones: &Zones,
) -> anyhow::Result<What> {
    if let Some(reason) = refused.settled() {
        return Ok(What::Skipped { reason });
    }
    if dry_run {
        return Ok(match refused.read(zones) {
            Some(Content::Event(event)) => What::Taken {
                event: event.key.to_string(),
                result: "new or seen before",
            },
            Some(Content::Invalid(problems)) => still_refused(problems),
            _ => What::Failed {
                error: "no webhook handles its type or provider".to_owned(),
                problems: Vec::new(),
            },
        });
    }
    let now = Timestamp::now();
    // The event expires when the row of the refused body does.
    let forget_at = refused.forget_at.context("its row has no ttl")?;
    let retention = forget_at.duration_since(refused.received_at);
    let receiver = Receiver {
        zones: zones.clone(),
        ledger: Ledger::new(
            target.dynamodb.clone(),
            target.table("events")?,
            retention.max(SignedDuration::from_hours(24)),
        ),
        work: target.work_queue()?,
    };
    Ok(match receiver.take_refused(refused, now).await? {
        Retaken::Taken(event, taken) => What::Taken {
            event: event.to_string(),
            result: match taken {
                Taken::New => "new",
                Taken::Duplicate => "duplicate",
                Taken::Conflict => "conflict",
            },
        },
        Retaken::StillRefused(problems) => still_refused(problems),
        Retaken::Never(reason) => What::Failed {
            error: reason.to_owned(),
            problems: Vec::new(),
        },
    })
}

fn still_refused(problems: Vec<Problem>) -> What {
    let fields: Vec<_> = problems
        .iter()
        .map(|problem| format!("{} {}", problem.field, problem.problem))
        .collect();
    What::Failed {
        error: format!("today's code still refuses it: {}", fields.join("; ")),
        problems,
    }
}

fn describe_outcome(outcome: &Outcome, dry_run: bool) -> String {
    let key = &outcome.refused;
    match &outcome.what {
        What::Taken { event, .. } if dry_run => format!("would take {key} as {event}\n"),
        What::Taken { event, result } => format!("{:<11}{key} as {event} ({result})\n", "taken"),
        What::Skipped { reason } => format!("{:<11}{key}: {reason}\n", "skipped"),
        What::Failed { error, .. } => format!("{:<11}{key}: {error}\n", "failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_of_a_refused_body_is_taken_for_one() {
        assert!(key(" refused#zupy/0123 ").is_ok());
        for other in ["zupy#comp#CP-1/redeemed", "refused#zupy", "CP-1", ""] {
            assert!(key(other).is_err(), "{other}");
        }
    }
}
