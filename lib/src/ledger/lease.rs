//! Leases: an effect outside DynamoDB is claimed before it is made, and only its owner settles it.

mod abandon;
mod settle;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use super::{
    Attached, Change, Ledger, Status, Wait, is_forgotten, is_refused_put, refused_item, unique_id,
};
use crate::event::Event;
use crate::invocation::Invocation;
use crate::row::{Item, is, number, text};

/// The outcome of claiming an effect.
#[expect(
    clippy::large_enum_variant,
    reason = "a claim lives on the stack, for one effect"
)]
#[derive(Debug)]
pub enum Claim {
    /// The effect is ours to make, until the lease ends.
    Granted(Lease),
    /// The effect was made, or given up for good.
    Settled,
    /// Another worker has the lease.
    Taken {
        /// When the lease ends, unless its owner settles the effect before.
        until: Timestamp,
    },
    /// The effect failed for now, and it is too early for another attempt.
    Early {
        /// The earliest time of the next attempt.
        until: Timestamp,
    },
}

/// The right to make one effect. Only its owner can settle it.
#[derive(Debug)]
pub struct Lease {
    ledger: Ledger,
    coupon: String,
    entry: String,
    owner: String,
    /// How many earlier attempts got no answer.
    in_doubt: u32,
    invocation: Invocation,
    /// Attachments to the record, for the end of the effect.
    ends: Ends,
}

/// Attachments to a record for the end of its effect, by how it ends.
#[derive(Debug, Default)]
pub struct Ends {
    /// What the record gets if the effect was made.
    pub done: Attached,
    /// What the record gets if there was nothing to do.
    pub skipped: Attached,
    /// What the record gets if the effect can never be made.
    pub failed: Attached,
}

/// How an effect ended that nobody had to make.
#[derive(Debug)]
pub struct Note {
    /// What the record's status becomes.
    pub status: Status,
    /// The reason in words, without personal data.
    pub result: &'static str,
    /// The message that would have been sent, if the event were no trial.
    pub would_send: Option<serde_json::Value>,
    /// The names of the records that follow, separated by spaces.
    pub then: String,
}

impl Note {
    /// A note with this status and result.
    pub fn new(status: Status, result: &'static str) -> Self {
        Self {
            status,
            result,
            would_send: None,
            then: String::new(),
        }
    }
}

/// The most bytes of the message that would have been sent. With its other fields, the record stays
/// below DynamoDB's 400 KB.
const DRAFT_MAX_BYTES: usize = 350_000;

/// The status of a record whose effect is being made.
const RUNNING: &str = "running";
/// The status of a record whose effect failed for now and may be claimed again.
const RELEASED: &str = "released";

/// The fields that attempts leave on a record.
const OF_AN_ATTEMPT: [&str; 9] = [
    "owner",
    "attempts",
    "started_at",
    "lease_until_ms",
    "not_before_ms",
    "in_doubt",
    "waited_for",
    "would_send",
    "then",
];

/// A mark that no row holds. A note that exists already is as good as this one.
const NO_MARK: (&str, &str) = ("owner", "");

impl Ledger {
    /// Claims an effect outside DynamoDB before it is made. If another worker has the lease, this
    /// function waits a little, because most effects take less than a second. Giving the message
    /// back would cost its visibility timeout.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses. The effect may be claimed all the same, until the
    /// lease ends.
    pub async fn claim(
        &self,
        event: &Event,
        name: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Claim> {
        let mut wait = Wait::begin();
        loop {
            let claim = self.try_claim(event, name, invocation).await?;
            if !matches!(claim, Claim::Taken { .. }) || !wait.pause().await {
                return Ok(claim);
            }
        }
    }

    async fn try_claim(
        &self,
        event: &Event,
        name: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Claim> {
        let claim = self.claim_record(event, name, invocation).await?;
        if matches!(claim, Claim::Granted(_)) {
            self.keep_up(&[(event, name)], invocation.now()).await?;
        }
        Ok(claim)
    }

    async fn claim_record(
        &self,
        event: &Event,
        name: &str,
        invocation: Invocation,
    ) -> anyhow::Result<Claim> {
        let (now, until) = (invocation.now(), invocation.ends_at());
        let owner = unique_id();
        let entry = event.key.beneath(name);
        let granted = |in_doubt| {
            Claim::Granted(Lease {
                ledger: self.clone(),
                coupon: event.key.coupon().to_owned(),
                entry: entry.clone(),
                owner: owner.clone(),
                in_doubt,
                invocation,
                ends: Ends::default(),
            })
        };
        let claimed = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(event.key.coupon()))
            .key("entry", text(&entry))
            .update_expression(
                "SET #status = :running, #owner = :owner, lease_until_ms = :until, \
                 #ttl = if_not_exists(#ttl, :ttl), \
                 attempts = if_not_exists(attempts, :zero) + :one, \
                 started_at = if_not_exists(started_at, :started_at) REMOVE not_before_ms",
            )
            .condition_expression(
                "attribute_not_exists(entry) OR (#ttl > :now_s AND (#status = :waiting OR \
                 (#status = :released AND (attribute_not_exists(not_before_ms) OR not_before_ms <= :now_ms)) OR \
                 (#status = :running AND (lease_until_ms <= :now_ms OR #owner = :owner))))",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":released", text(RELEASED))
            .expression_attribute_values(":waiting", text(Status::Waiting.name()))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now_ms", number(now.as_millisecond()))
            .expression_attribute_values(":now_s", number(now.as_second()))
            .expression_attribute_values(":ttl", self.forget_at(event, now))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":started_at", text(now.to_string()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let found = match claimed {
            Ok(claimed) => {
                let row = claimed.attributes.unwrap_or_default();
                let in_doubt = row.get("in_doubt");
                let in_doubt = in_doubt.and_then(|it| it.as_n().ok()?.parse().ok());
                return Ok(granted(in_doubt.unwrap_or(0)));
            }
            Err(error) => {
                refused_item(error).with_context(|| format!("claiming {}/{name}", event.key))?
            }
        };
        if is_forgotten(&found, now) {
            // A forgotten record says nothing about today's event.
            let is_ours = self.replace_forgotten(event, name, &owner, invocation);
            return Ok(match is_ours.await? {
                true => granted(0),
                false => Claim::Taken {
                    until: until_unknown(now),
                },
            });
        }
        if is(&found, "status", RUNNING) {
            let until = read_time(&found, "lease_until_ms").unwrap_or(until_unknown(now));
            return Ok(Claim::Taken { until });
        }
        if is(&found, "status", RELEASED) {
            let until = read_time(&found, "not_before_ms").unwrap_or(until_unknown(now));
            return Ok(Claim::Early { until });
        }
        Ok(Claim::Settled)
    }

    /// Claims an effect whose record is forgotten but not deleted yet. Returns whether this attempt
    /// got the claim.
    async fn replace_forgotten(
        &self,
        event: &Event,
        name: &str,
        owner: &str,
        invocation: Invocation,
    ) -> anyhow::Result<bool> {
        let now = invocation.now();
        let until = number(invocation.ends_at().as_millisecond());
        let replaced = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("coupon", text(event.key.coupon()))
            .item("entry", text(event.key.beneath(name)))
            .item("status", text(RUNNING))
            .item("owner", text(owner))
            .item("lease_until_ms", until)
            .item("attempts", number(1))
            .item("started_at", text(now.to_string()))
            .item("ttl", self.forget_at(event, now))
            .condition_expression("attribute_not_exists(entry) OR #ttl <= :now OR #owner = :owner")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":now", number(now.as_second()))
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        match replaced {
            Ok(_) => Ok(true),
            Err(error) if is_refused_put(&error) => Ok(false),
            Err(error) => Err(anyhow!(error).context(format!("claiming {}/{name}", event.key))),
        }
    }
}

impl Ledger {
    /// Records how an effect ended that nobody had to make. A record of another worker stays.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn note(
        &self,
        event: &Event,
        name: &str,
        note: Note,
        invocation: Invocation,
    ) -> anyhow::Result<()> {
        let attached = Attached::default();
        self.note_with(event, name, note, attached, invocation)
            .await
    }

    /// Like [`note`](Self::note), together with attached fields and changes, in one transaction:
    /// both or neither, once.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn note_with(
        &self,
        event: &Event,
        name: &str,
        note: Note,
        attached: impl Into<Attached>,
        invocation: Invocation,
    ) -> anyhow::Result<()> {
        let now = invocation.now();
        let Attached { fields, changes } = attached.into();
        let mut row = fields;
        row.set("status", Some(note.status.name()));
        row.set("result", Some(note.result));
        // The field stays on the row if the effect is claimed later.
        row.set(
            "waited_for",
            (note.status == Status::Waiting).then_some(note.result),
        );
        // A longer message can be made again from the event's body.
        let draft = note.would_send.map(|it| it.to_string());
        row.set("would_send", draft.filter(|it| it.len() <= DRAFT_MAX_BYTES));
        row.set("then", (!note.then.is_empty()).then_some(note.then));
        row.set("finished_at", Some(now));
        row.0.insert("ttl".into(), self.forget_at(event, now));
        let key = self.row_key(event.key.coupon(), event.key.beneath(name));
        let mut own = Change::of(key);
        // No field of the earlier row stays.
        for field in OF_AN_ATTEMPT {
            if !row.0.contains_key(field) {
                own = own.remove(field);
            }
        }
        let own = own.set_all(row).only_if(
            "attribute_not_exists(#entry) OR #status = :released OR #ttl <= :now_s OR \
             (#status = :running AND #lease_until_ms <= :now_ms)",
            &[
                ("released", text(RELEASED)),
                ("running", text(RUNNING)),
                ("now_s", number(now.as_second())),
                ("now_ms", number(now.as_millisecond())),
            ],
        );
        self.end_together(&own, NO_MARK, &changes)
            .await
            .with_context(|| format!("noting {}/{name}", event.key))?;
        // A record that existed needs this step too, because its writer may have died before it.
        self.keep_up(&[(event, name)], now).await
    }
}

fn read_time(item: &Item, name: &str) -> Option<Timestamp> {
    let ms = item.get(name)?.as_n().ok()?.parse().ok()?;
    Timestamp::from_millisecond(ms).ok()
}

/// When to look again at a lease whose end cannot be read, because another version of this code
/// wrote the lease.
fn until_unknown(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_secs(30)
}
