//! The state of an interrupted audit, and the result of the last one, in the table of figures.
//!
//! A state is packed into parts. The row that names the parts is written last. So an interruption
//! leaves the state before or the state after, and nothing in between.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::Context;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Audit;
use crate::figures::cell::{Group, Section, Tally};
use crate::figures::lists::key;
use crate::figures::recount::{Drift, Recount};
use crate::figures::store::Figures;
use crate::ledger::{Item, Row, is_forgotten, read_all, unique_id};

/// The partition of everything about audits.
const AUDIT: &str = "audit";

/// The sort key of the last audit's result.
const RESULT: &str = "result";

/// The most bytes of one part. DynamoDB accepts items of 400 KB.
const PART_MAX_BYTES: usize = 350_000;

/// How long an interrupted audit can be continued. After that, the counters from its beginning are
/// too old to judge by.
const CONTINUED_WITHIN: SignedDuration = SignedDuration::from_hours(48);

/// How long a result is kept.
const RESULT_KEPT: SignedDuration = SignedDuration::from_hours(24 * 40);

/// How many differing counters a result lists.
const NAMED_MAX: usize = 50;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// When the audit's first step began.
    pub started_at: Timestamp,
    /// When the audit's last step ended.
    pub finished_at: Timestamp,
    /// The first and the last day that the audit judged.
    pub days: (Date, Date),
    /// How many events the audit counted.
    pub events: u64,
    /// How many counters the audit compared.
    pub counters: u64,
    /// How many of `counters` differ from the recorded events.
    pub differ: u64,
    /// The first of the differing counters, at most 50.
    pub drift: Vec<Differs>,
}

/// A [`Drift`], as the row of the last audit's result holds it in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Differs {
    pub(crate) tenant: String,
    pub(crate) day: Date,
    pub(crate) section: String,
    group: Vec<String>,
    field: char,
    counted: Decimal,
    recorded: Decimal,
}

impl From<&Drift> for Differs {
    fn from(drift: &Drift) -> Self {
        Self {
            tenant: drift.tenant.clone(),
            day: drift.cell.day,
            section: drift.cell.group.section.name().to_owned(),
            group: drift.cell.group.names.clone(),
            field: drift.cell.field,
            counted: drift.counted,
            recorded: drift.recorded,
        }
    }
}

impl Audited {
    /// The result of an audit that ends now, with what differs and the number of compared counters.
    pub fn new(audit: &Audit, (drift, counters): (&[Drift], u64), now: Timestamp) -> Self {
        Self {
            started_at: audit.started_at,
            finished_at: now,
            days: audit.days,
            events: audit.events(),
            counters,
            differ: drift.len() as u64,
            drift: drift.iter().take(NAMED_MAX).map(Differs::from).collect(),
        }
    }

    fn write(&self) -> Row {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let mut row = Row::default();
        row.set("started_at", Some(self.started_at));
        row.set("finished_at", Some(self.finished_at));
        row.set("from", Some(self.days.0));
        row.set("to", Some(self.days.1));
        row.0.insert("events".into(), number(self.events));
        row.0.insert("counters".into(), number(self.counters));
        row.0.insert("differ".into(), number(self.differ));
        row.json("drift", Some(&self.drift));
        row
    }

    fn read(row: &Item) -> Option<Self> {
        let text = |name: &str| row.get(name)?.as_s().ok();
        let number = |name: &str| row.get(name)?.as_n().ok()?.parse().ok();
        Some(Self {
            started_at: text("started_at")?.parse().ok()?,
            finished_at: text("finished_at")?.parse().ok()?,
            days: (text("from")?.parse().ok()?, text("to")?.parse().ok()?),
            events: number("events")?,
            counters: number("counters")?,
            differ: number("differ")?,
            drift: serde_json::from_str(text("drift")?).ok()?,
        })
    }
}

/// An audit as the packed state holds it in JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    started_at: Timestamp,
    days: (Date, Date),
    rows: u64,
    events: u64,
    after: Option<(String, String)>,
    before: BTreeMap<String, Vec<Counter>>,
    recorded: BTreeMap<String, Vec<Counter>>,
}

/// A counter: its day, section, names, field and sum.
#[derive(Debug, Serialize, Deserialize)]
struct Counter(Date, String, Vec<String>, char, Decimal);

fn pack(audit: &Audit) -> anyhow::Result<Vec<u8>> {
    let counters = |tallies: &BTreeMap<String, Tally>| {
        let tallies = tallies.iter().map(|(tenant, tally)| {
            let counters = tally.cells().map(|(cell, sum)| {
                let section = cell.group.section.name().to_owned();
                Counter(cell.day, section, cell.group.names.clone(), cell.field, sum)
            });
            (tenant.clone(), counters.collect())
        });
        tallies.collect()
    };
    let packed = Packed {
        started_at: audit.started_at,
        days: audit.days,
        rows: audit.rows,
        events: audit.recount.events,
        after: audit.after.clone(),
        before: counters(&audit.before),
        recorded: counters(&audit.recount.tallies),
    };
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(&serde_json::to_vec(&packed)?)?;
    Ok(zipped.finish()?)
}

fn unpack(bytes: &[u8]) -> anyhow::Result<Audit> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text)?;
    let packed: Packed = serde_json::from_slice(&text)?;
    let tallies = |counters: BTreeMap<String, Vec<Counter>>| {
        let tallies = counters.into_iter().map(|(tenant, counters)| {
            let mut tally = Tally::default();
            for Counter(day, section, names, field, sum) in counters {
                let section = Section::named(&section).context("a section of newer code")?;
                tally.add(day, &Group { section, names }, field, sum);
            }
            Ok((tenant, tally))
        });
        tallies.collect::<anyhow::Result<_>>()
    };
    Ok(Audit {
        started_at: packed.started_at,
        days: packed.days,
        rows: packed.rows,
        after: packed.after,
        before: tallies(packed.before)?,
        recount: Recount {
            tallies: tallies(packed.recorded)?,
            events: packed.events,
        },
    })
}

fn state(name: &str) -> String {
    format!("state#{name}")
}

impl Figures {
    /// The result of the last finished audit, if there was one.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn audited(&self) -> anyhow::Result<Option<Audited>> {
        let row = self.audit_row(RESULT.to_owned()).await?;
        Ok(row.as_ref().and_then(Audited::read))
    }

    /// Keeps an audit's result, and replaces the one before.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn keep_audited(&self, audited: &Audited) -> anyhow::Result<()> {
        let row = audited.write();
        let until = audited.finished_at.checked_add(RESULT_KEPT)?;
        self.put_audit(RESULT.to_owned(), row, until).await
    }

    /// The interrupted audit with this name, if it can be continued.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn interrupted_audit(
        &self,
        name: &str,
        now: Timestamp,
    ) -> anyhow::Result<Option<Audit>> {
        let Some(row) = self.audit_row(state(name)).await? else {
            return Ok(None);
        };
        let unique = row.get("parts_named").and_then(|it| it.as_s().ok());
        let count = row.get("parts").and_then(|it| it.as_n().ok()?.parse().ok());
        let (Some(unique), Some(count)): (_, Option<usize>) = (unique, count) else {
            return Ok(None);
        };
        let part = |number| format!("{}#{unique}#{number:04}", state(name));
        let keys: Vec<_> = (0..count)
            .map(|number| key(&self.tables.figures, AUDIT.to_owned(), part(number)))
            .collect();
        let rows = read_all(&self.client, &keys, &[]).await;
        let rows = rows.context("reading an interrupted audit")?;
        let rows: BTreeMap<_, _> = rows
            .iter()
            .filter_map(|row| {
                let bytes = row.get("packed")?.as_b().ok()?.as_ref();
                Some((row.get("entry")?.as_s().ok()?.as_str(), bytes))
            })
            .collect();
        let bytes: Vec<u8> = rows.values().copied().flatten().copied().collect();
        if rows.len() != count {
            return Ok(None);
        }
        // An unreadable state is from other code, so a new audit begins.
        let audit = unpack(&bytes).ok();
        Ok(audit.filter(|it| now.duration_since(it.started_at) < CONTINUED_WITHIN))
    }

    /// Keeps an interrupted audit under this name, so that it can be continued.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn keep_interrupted_audit(
        &self,
        name: &str,
        audit: &Audit,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let until = now.checked_add(CONTINUED_WITHIN)?;
        let bytes = pack(audit)?;
        let unique = &unique_id()[..16];
        let parts = bytes.chunks(PART_MAX_BYTES);
        let count = parts.len();
        for (number, part) in parts.enumerate() {
            let mut row = Row::default();
            let part = AttributeValue::B(Blob::new(part));
            row.0.insert("packed".into(), part);
            let entry = format!("{}#{unique}#{number:04}", state(name));
            self.put_audit(entry, row, until).await?;
        }
        let mut row = Row::default();
        row.set("parts_named", Some(unique));
        let count = AttributeValue::N(count.to_string());
        row.0.insert("parts".into(), count);
        self.put_audit(state(name), row, until).await
    }

    /// Deletes the state of an audit that has finished.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn forget_interrupted_audit(&self, name: &str) -> anyhow::Result<()> {
        // An empty row is no state. The parts expire by themselves.
        self.put_audit(state(name), Row::default(), Timestamp::UNIX_EPOCH)
            .await
    }

    async fn audit_row(&self, entry: String) -> anyhow::Result<Option<Item>> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.figures)
            .set_key(Some(
                key(&self.tables.figures, AUDIT.to_owned(), entry).attributes(),
            ))
            .consistent_read(true)
            .send()
            .await
            .context("reading about an audit")?;
        let now = self.now();
        Ok(found.item.filter(|row| !is_forgotten(row, now)))
    }

    async fn put_audit(&self, entry: String, row: Row, until: Timestamp) -> anyhow::Result<()> {
        let mut item = row.0;
        item.extend(key(&self.tables.figures, AUDIT.to_owned(), entry).attributes());
        let until = AttributeValue::N(until.as_second().to_string());
        item.insert("ttl".into(), until);
        let put = self.client.put_item().table_name(&self.tables.figures);
        let put = put.set_item(Some(item)).send().await;
        put.context("keeping an audit")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_unpacked_as_it_was_packed() {
        let day = "2026-11-28".parse().unwrap();
        let mut tally = Tally::default();
        let group = Group::new(Section::Use, ["Pizza", "Loja \"Centro\"", "pos", "BRL"]);
        tally.add(day, &group, 'o', Decimal::new(6_750, 2));
        let audit = Audit {
            started_at: "2026-11-28T03:00:00Z".parse().unwrap(),
            days: (day, day),
            rows: 7,
            before: [("zupy#comp".to_owned(), tally.clone())].into(),
            recount: Recount {
                tallies: [("zupy#comp".to_owned(), tally)].into(),
                events: 3,
            },
            after: Some(("zupy#comp#CP-1".into(), "redeemed".into())),
        };
        assert_eq!(unpack(&pack(&audit).unwrap()).unwrap(), audit);
    }
}
