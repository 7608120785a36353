//! `coupons show`: prints a coupon's whole life.

use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use webhooks::fraud;
use webhooks::identifier::clean;
use webhooks::life::{Found, Life, Lookup, Received, Record, Reservation};

use crate::lives::lives;
use crate::output::{harmless, readable, say, say_json};
use crate::target::{self, Target};

const EXAMPLES: &str = "\
Examples:
  coupons show CP-A1B2C3D4
  coupons show 'zupy#comp_bella_vista#CP-A1B2C3D4'
  coupons show 'zupy#comp_bella_vista#CP-A1B2C3D4/redeemed' --body
  coupons show CP-A1B2C3D4 --stack coupons --json";

/// Show a coupon's whole life: its events, the results of its tasks, and what is missing.
///
/// A bare code makes the command read the whole table, which is slow and costs read units; a key
/// finds the coupon directly. If several tenants issued the same code, the command shows all its
/// coupons.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A coupon's code, its key such as 'zupy#comp#CP-1', or an event's key as in an answer
    #[arg(value_name = "CODE or KEY", value_parser = lookup)]
    coupon: Lookup,
    /// Also show the bodies as the provider sent them, with personal data
    #[arg(long)]
    body: bool,
    /// Print JSON: an object, or an array if several coupons have the code
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

pub(crate) fn lookup(text: &str) -> Result<Lookup, String> {
    match clean(text) {
        "" => Err("it is empty: give a coupon's code or key".to_owned()),
        text => Ok(Lookup::parse(text)),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let lives = lives(&target, &arguments.coupon).await?;
    if lives.is_empty() {
        bail!("{}", not_found(&arguments.coupon));
    }
    let lives: Vec<_> = if arguments.body {
        lives
    } else {
        lives.into_iter().map(Life::without_bodies).collect()
    };
    if arguments.json {
        match lives.as_slice() {
            [life] => say_json(life)?,
            lives => say_json(&lives)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let now = Timestamp::now();
    let printed: Vec<_> = lives.iter().map(|life| describe(life, now)).collect();
    say(&harmless(&printed.join("\n")))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn not_found(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Key {
            coupon,
            entry: None,
        } => format!("the system has received no event of the coupon {coupon}"),
        Lookup::Key {
            coupon,
            entry: Some(entry),
        } => format!("the system has never received the event {coupon}/{entry}"),
        Lookup::Code(code) => {
            format!("the system has received no event of a coupon with the code {code:?}")
        }
    }
}

fn describe(life: &Life, now: Timestamp) -> String {
    let mut text = format!("{}\n", life.coupon);
    if let Some(event) = life.received.first() {
        // A member's own events have no coupon code.
        if !event.code.is_empty() {
            text.push_str(&format!("  code     {}\n", event.code));
        }
        text.push_str(&format!("  member   {}\n", event.member));
    }
    if let Some(account) = &life.account {
        let state = account.state.as_deref().unwrap_or("no state");
        text.push_str(&format!("  account  {state}"));
        if let Some(expires_at) = &account.expires_at {
            text.push_str(&format!(", expires {expires_at}"));
        }
        text.push('\n');
    }
    if let Some(reservation) = &life.reservation {
        text.push_str(&format!(
            "  stock    {}\n",
            describe_reservation(reservation, now)
        ));
    }
    for event in &life.received {
        text.push_str(&describe_event(life, event, now));
    }
    for conflict in &life.conflicts {
        text.push_str(&format!(
            "\n  contradicted by another body for {}, received {}, hash {}\n",
            conflict.event, conflict.received_at, conflict.hash
        ));
        push_body(&mut text, conflict.body.as_deref());
    }
    if !life.other.is_empty() {
        let entries = life.other.join(", ");
        text.push_str(&format!(
            "\n  entries that this version does not know: {entries}\n"
        ));
    }
    text
}

fn describe_reservation(reservation: &Reservation, now: Timestamp) -> String {
    if let Some(released) = &reservation.released {
        return format!("no reservation since {released}");
    }
    let field = |field: &Option<String>| field.clone().unwrap_or_else(|| "?".to_owned());
    let until = field(&reservation.until);
    let counts = until
        .parse()
        .map_or("", |until: Timestamp| match until > now {
            true => "",
            false => ", which has passed",
        });
    let (quantity, product) = (field(&reservation.quantity), field(&reservation.product));
    format!("{quantity} {product} reserved until {until}{counts}")
}

fn describe_event(life: &Life, event: &Received, now: Timestamp) -> String {
    let sandbox = if event.sandbox { " (sandbox)" } else { "" };
    let mut text = format!(
        "\n  {}{sandbox}\n    occurred {}, received {}\n",
        event.entry, event.occurred_at, event.received_at
    );
    for warning in &event.warnings {
        let (field, problem) = (&warning.field, &warning.problem);
        text.push_str(&format!("    warning  {field} {problem}\n"));
    }
    let records = life.tasks.iter().filter(|it| it.event == event.event);
    for record in records {
        text.push_str(&format!("    {}\n", describe_record(record, now)));
        if record.task == fraud::RECORD {
            let found = life.findings.iter().filter(|it| it.event == event.event);
            for Found { finding, .. } in found {
                let (kind, severity) = (&finding.kind, finding.severity.name());
                text.push_str(&format!("      {kind} ({severity}): {}\n", finding.details));
            }
        }
        if let Some(draft) = &record.would_send {
            text.push_str("      would have been sent:\n");
            push_body(&mut text, Some(&draft.to_string()));
        }
    }
    let missing = life.missing.iter().filter(|it| it.event == event.event);
    for missing in missing {
        let task = &missing.task;
        let why = if event
            .undispatched
            .iter()
            .any(|waiting| task.split('/').next() == Some(waiting))
        {
            "SQS did not take its message; the outbox sends it within a minute"
        } else {
            "no record: its message waits in a queue, or is lost; `coupons replay` sends it again"
        };
        text.push_str(&format!("    {task}: {why}\n"));
    }
    match event.causes.as_deref() {
        None => text.push_str("    its body is no longer readable\n"),
        Some([]) => text.push_str("    causes no task\n"),
        Some(_) => {}
    }
    push_body(&mut text, event.body.as_deref());
    text
}

fn describe_record(record: &Record, now: Timestamp) -> String {
    let mut parts = vec![record.summary()];
    match record.lease_until {
        Some(until) if until > now => parts.push(format!("until {until}")),
        Some(until) => parts.push(format!(
            "its lease ended {until}: another attempt may take over"
        )),
        None => {}
    }
    if let Some(at) = record.not_before.filter(|at| *at > now) {
        parts.push(format!("no retry before {at}"));
    }
    if let Some(started_at) = &record.started_at {
        parts.push(format!("started {started_at}"));
    }
    if let Some(finished_at) = &record.finished_at {
        let ended = if record.is_settled() {
            "finished"
        } else {
            "last tried"
        };
        parts.push(format!("{ended} {finished_at}"));
    }
    parts.join(", ")
}

fn push_body(text: &mut String, body: Option<&str>) {
    if let Some(body) = body {
        for line in readable(body.as_bytes()).lines() {
            text.push_str(&format!("      {line}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use webhooks::fraud::{Finding, Severity};
    use webhooks::life::{Account, Conflict, Missing};

    use super::*;

    #[test]
    fn a_life_reads_from_top_to_bottom() {
        let event = "zupy#comp#CP-1/redeemed".to_owned();
        let at = |second: u8| Some(format!("2026-11-22T10:00:{second:02}Z"));
        let life = Life {
            coupon: "zupy#comp#CP-1".into(),
            account: Some(Account {
                state: Some("active".into()),
                expires_at: Some("2027-01-01T00:00:00Z".into()),
            }),
            received: vec![Received {
                event: event.clone(),
                entry: "redeemed".into(),
                member: "ZP-1".into(),
                code: "CP-1".into(),
                occurred_at: "2026-11-22T09:59:59Z".into(),
                received_at: "2026-11-22T10:00:00Z".into(),
                causes: Some(vec!["delivery"]),
                ..Received::default()
            }],
            tasks: vec![
                Record {
                    event: event.clone(),
                    task: "delivery/account".into(),
                    status: "done".into(),
                    finished_at: at(1),
                    ..Record::default()
                },
                Record {
                    event: event.clone(),
                    task: "delivery/email".into(),
                    status: "released".into(),
                    attempts: Some(3),
                    result: Some("TooManyRequestsException".into()),
                    started_at: at(1),
                    finished_at: at(2),
                    ..Record::default()
                },
                Record {
                    event: event.clone(),
                    task: "fraud".into(),
                    status: "done".into(),
                    result: Some("found rapid_redemption".into()),
                    ..Record::default()
                },
            ],
            findings: vec![Found {
                event: event.clone(),
                finding: Finding {
                    kind: "rapid_redemption".into(),
                    severity: Severity::Medium,
                    details: "at least 5 redemptions".into(),
                    rule: "rapid_redemption".into(),
                },
            }],
            missing: vec![Missing {
                event: event.clone(),
                task: "inventory".into(),
            }],
            conflicts: vec![Conflict {
                event,
                hash: "0123".into(),
                received_at: "2026-11-22T11:00:00Z".into(),
                body: Some("{}".into()),
            }],
            reservation: Some(Reservation {
                product: Some("Pizza".into()),
                quantity: Some("1".into()),
                until: Some("2027-01-01T00:00:00.000Z".into()),
                released: None,
            }),
            other: Vec::new(),
        };
        assert_snapshot!(describe(&life, Timestamp::UNIX_EPOCH), @"
        zupy#comp#CP-1
          code     CP-1
          member   ZP-1
          account  active, expires 2027-01-01T00:00:00Z
          stock    1 Pizza reserved until 2027-01-01T00:00:00.000Z

          redeemed
            occurred 2026-11-22T09:59:59Z, received 2026-11-22T10:00:00Z
            delivery/account done, finished 2026-11-22T10:00:01Z
            delivery/email released: TooManyRequestsException (3 attempts), started 2026-11-22T10:00:01Z, last tried 2026-11-22T10:00:02Z
            fraud done: found rapid_redemption
              rapid_redemption (medium): at least 5 redemptions
            inventory: no record: its message waits in a queue, or is lost; `coupons replay` sends it again

          contradicted by another body for zupy#comp#CP-1/redeemed, received 2026-11-22T11:00:00Z, hash 0123
              {}
        ");
    }
}
