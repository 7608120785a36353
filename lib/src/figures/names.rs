//! Short names for groups of counters: a dictionary for each tenant maps short ids to groups. A
//! counter's name is part of its item, and every update pays for the item's size.
//!
//! An id is the beginning of the group's hash, and longer if another group has that beginning. An
//! entry of a dictionary never changes, so functions remember entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::cell::{Group, Section};
use super::lists::key;
use crate::ledger::{Item, ItemKey, read_all};

/// The lengths of ids, in characters. There are 916 million ids of length 5.
const LENGTHS: [usize; 4] = [5, 8, 16, 32];

/// How many ids are written at the same time.
const CONCURRENCY: usize = 16;

/// How many groups a process remembers.
const REMEMBERED_MAX: usize = 50_000;

/// The dictionaries of all tenants.
#[derive(Debug)]
pub(super) struct Names {
    client: Client,
    table: String,
    /// How long a counter lives; a name lives longer.
    keep: SignedDuration,
    known: Mutex<HashMap<(String, Group), RememberedId>>,
}

#[derive(Debug, Clone)]
struct RememberedId {
    id: String,
    /// The second from which the dictionary's entry is expired.
    forgotten_from: i64,
}

/// The id of a group that needs no dictionary. A bucket of durations and an hour are digits,
/// shorter than every other id. The results of tasks are words of this code; their ids begin with
/// `_`, as no other id does.
pub(super) fn literal(group: &Group) -> Option<String> {
    match group.section {
        Section::TimeToUse | Section::Hour => {
            let name = group.names.first()?;
            let is_short = name.len() <= 3 && name.bytes().all(|it| it.is_ascii_digit());
            is_short.then(|| name.clone())
        }
        Section::Finding | Section::SurveyUnsent | Section::LowStock | Section::Delivery => {
            let id = format!("_{}", group.names.join("_"));
            let is_plain = id.len() <= WORDS_MAX_BYTES
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            (is_plain && of_literal(group.section, &id).as_ref() == Some(group)).then_some(id)
        }
        _ => None,
    }
}

/// The longest id made of words.
const WORDS_MAX_BYTES: usize = 40;

/// The group of a section that an id without a dictionary stands for.
pub(super) fn of_literal(section: Section, id: &str) -> Option<Group> {
    match section {
        Section::TimeToUse | Section::Hour => (id.len() <= 3).then(|| Group::new(section, [id])),
        Section::LowStock => (id == "_").then(|| Group::new(section, [])),
        Section::Finding | Section::SurveyUnsent => {
            let word = id.strip_prefix('_').filter(|it| !it.is_empty())?;
            Some(Group::new(section, [word]))
        }
        Section::Delivery => {
            let (channel, result) = id.strip_prefix('_')?.split_once('_')?;
            Some(Group::new(section, [channel, result]))
        }
        _ => None,
    }
}

/// The partition of a tenant's dictionary.
pub(super) fn partition(tenant: &str) -> String {
    format!("{tenant}#names")
}

/// The ids that a group can have, the preferred one first.
fn candidates(group: &Group) -> [String; LENGTHS.len()] {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits: String = Sha256::digest(written(group))
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    LENGTHS.map(|length| digits[..length].to_owned())
}

/// A group as a dictionary stores it.
fn written(group: &Group) -> String {
    let mut parts = vec![group.section.name()];
    parts.extend(group.names.iter().map(String::as_str));
    serde_json::to_string(&parts).expect("texts are JSON")
}

/// The group in a row of a dictionary, and its id.
pub(super) fn read(row: &Item) -> Option<(String, Group)> {
    let id = row.get("entry")?.as_s().ok()?.clone();
    let group = row.get("group")?.as_s().ok()?;
    let parts: Vec<String> = serde_json::from_str(group).ok()?;
    let (section, names) = parts.split_first()?;
    let group = Group {
        section: Section::named(section)?,
        names: names.to_vec(),
    };
    Some((id, group))
}

impl Names {
    /// The groups' names in this table, which keeps a name for `keep`.
    pub(super) fn new(client: Client, table: impl Into<String>, keep: SignedDuration) -> Self {
        Self {
            client,
            table: table.into(),
            keep,
            known: Mutex::default(),
        }
    }

    /// The ids of a tenant's groups. A group without an id gets one.
    pub(super) async fn ids(
        &self,
        tenant: &str,
        groups: BTreeSet<Group>,
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<Group, String>> {
        let mut ids = BTreeMap::new();
        let mut open = Vec::new();
        for group in groups {
            match literal(&group).or_else(|| self.recall(tenant, &group, now)) {
                Some(id) => _ = ids.insert(group, id),
                None => open.push(group),
            }
        }
        for (attempt, _) in LENGTHS.iter().enumerate() {
            if open.is_empty() {
                return Ok(ids);
            }
            let keys: BTreeSet<_> = open
                .iter()
                .map(|group| self.key(tenant, &candidates(group)[attempt]))
                .collect();
            let keys: Vec<_> = keys.into_iter().collect();
            let rows = read_all(&self.client, &keys, &[]).await;
            let rows = rows.context("reading names of groups")?;
            let standing: HashMap<_, _> = rows
                .iter()
                .filter_map(|row| Some((row.get("entry")?.as_s().ok()?.clone(), row)))
                .collect();
            let mut settled = Vec::new();
            for some in open.chunks(CONCURRENCY) {
                let settles = some.iter().map(|group| {
                    let id = candidates(group)[attempt].clone();
                    let row = standing.get(&id).copied();
                    async move { self.settle(tenant, group, &id, row, now).await }
                });
                let known = try_join_all(settles).await?;
                settled.extend(some.iter().cloned().zip(known));
            }
            open = Vec::new();
            for (group, known) in settled {
                match known {
                    Some(known) => {
                        ids.insert(group.clone(), known.id.clone());
                        self.remember(tenant, group, known);
                    }
                    None => open.push(group),
                }
            }
        }
        match open.is_empty() {
            true => Ok(ids),
            false => bail!("no free name is left for a group of counters"),
        }
    }

    fn recall(&self, tenant: &str, group: &Group, now: Timestamp) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&(tenant.to_owned(), group.clone()))?;
        (known.forgotten_from >= self.needed_until(now)).then(|| known.id.clone())
    }

    fn remember(&self, tenant: &str, group: Group, known: RememberedId) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert((tenant.to_owned(), group), known);
    }

    /// The second until which the name of a group that is counted now must live.
    fn needed_until(&self, now: Timestamp) -> i64 {
        second_after(now, self.keep)
    }

    /// Gives this id to the group. Returns `None` if the id belongs to another group.
    async fn settle(
        &self,
        tenant: &str,
        group: &Group,
        id: &str,
        standing: Option<&Item>,
        now: Timestamp,
    ) -> anyhow::Result<Option<RememberedId>> {
        if let Some(row) = standing {
            let forgotten_from = forgotten_from(row);
            let is_theirs = is_of(row, group);
            if forgotten_from > now.as_second() && !is_theirs {
                return Ok(None);
            }
            if is_theirs && forgotten_from >= self.needed_until(now) {
                let id = id.to_owned();
                return Ok(Some(RememberedId { id, forgotten_from }));
            }
        }
        self.write(tenant, group, id, now).await
    }

    async fn write(
        &self,
        tenant: &str,
        group: &Group,
        id: &str,
        now: Timestamp,
    ) -> anyhow::Result<Option<RememberedId>> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        // The name lives twice as long as necessary, so that it is seldom written again.
        let forgotten_from = second_after(now, self.keep * 2);
        let mut row = self.key(tenant, id).attributes();
        row.insert("group".into(), AttributeValue::S(written(group)));
        row.insert("ttl".into(), number(forgotten_from));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(#entry) OR #group = :group OR #ttl <= :now")
            .expression_attribute_names("#entry", "entry")
            .expression_attribute_names("#group", "group")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":group", AttributeValue::S(written(group)))
            .expression_attribute_values(":now", number(now.as_second()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(Some(RememberedId {
                id: id.to_owned(),
                forgotten_from,
            })),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(anyhow!(error).context("naming a group of counters")),
            },
        }
    }

    fn key(&self, tenant: &str, id: &str) -> ItemKey {
        key(&self.table, partition(tenant), id.to_owned())
    }
}

fn forgotten_from(row: &Item) -> i64 {
    crate::ledger::forgotten_from(row).unwrap_or(i64::MAX)
}

fn is_of(row: &Item, group: &Group) -> bool {
    read(row).is_some_and(|(_, found)| found == *group)
}

fn second_after(now: Timestamp, by: SignedDuration) -> i64 {
    now.checked_add(by).unwrap_or(Timestamp::MAX).as_second()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::survey::Unsent;

    /// The functions that count these groups may not read the dictionary.
    #[test]
    fn what_tasks_did_needs_no_dictionary() {
        let check = |section: Section, names: &[&str]| {
            let group = Group::new(section, names.iter().copied());
            let id = literal(&group).unwrap_or_else(|| panic!("{group:?} has no id"));
            assert_eq!(of_literal(section, &id), Some(group));
        };
        check(Section::LowStock, &[]);
        check(Section::Finding, &["duplicate_usage"]);
        for reason in Unsent::ALL {
            check(Section::SurveyUnsent, &[reason.word()]);
        }
        for channel in ["email", "whatsapp", "sms", "reminder", "forward"] {
            for result in ["sent", "skipped", "failed"] {
                check(Section::Delivery, &[channel, result]);
            }
        }
    }

    #[test]
    fn a_word_that_cannot_be_read_back_is_in_the_dictionary() {
        for names in [["game_server", "sent"], ["E-Mail", "sent"], ["", "sent"]] {
            let group = Group::new(Section::Delivery, names);
            let id = literal(&group);
            let read = id.as_ref().and_then(|id| of_literal(group.section, id));
            assert!(id.is_none() || read == Some(group), "{names:?}");
        }
    }
}
