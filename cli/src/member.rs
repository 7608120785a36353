//! `coupons member`: shows the data kept about a member, erases personal data, and stops messages
//! to the member.

mod forget;
mod shown;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::{escape, member_key, unescape};
use webhooks::fraud::FLAG;
use webhooks::identifier::clean;
use webhooks::ledger::{Item, Refused};
use webhooks::life::text;
use webhooks::provider::{aghanim, zupy};

use crate::output::{harmless, say, say_json};
use crate::refused::refused_rows;
use crate::target::{self, Target};
use forget::forget;
use shown::Member;

const EXAMPLES: &str = "\
Examples:
  coupons member ZP-4F95FB0A
  coupons member ZP-4F95FB0A --tenant comp_bella_vista --json
  coupons member 'zupy#comp_bella_vista#ZP-4F95FB0A' --do-not-contact
  coupons member ZP-4F95FB0A --clear-flag
  coupons member ZP-4F95FB0A --forget --dry-run";

/// The entry of the row that holds a member's contact.
const CONTACT: &str = "contact";

/// Show a member's data, erase their personal data, stop or allow messages, or clear flags.
///
/// A bare id makes the command read whole tables, which is slow and costs read units. A key, or an
/// id with --tenant, finds the member directly. Erasing reads the whole events table in any case.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A member's id, or their key such as 'zupy#comp#ZP-1'
    #[arg(value_name = "ID or KEY", value_parser = not_empty)]
    member: String,
    /// The company or game that the member belongs to
    #[arg(long)]
    tenant: Option<String>,
    /// Erase name, e-mail address and phone number everywhere; ids and keys stay, so that the
    /// system still recognises duplicates
    #[arg(long, conflicts_with_all = ["do_not_contact", "may_contact", "clear_flag"])]
    forget: bool,
    /// Print what --forget would erase, and erase nothing
    #[arg(long, requires = "forget")]
    dry_run: bool,
    /// Send the member no messages from now on: coupons still reach the account
    #[arg(long, conflicts_with = "may_contact")]
    do_not_contact: bool,
    /// Send the member messages again
    #[arg(long)]
    may_contact: bool,
    /// Clear the flags that critical findings raised, after an investigation
    #[arg(long)]
    clear_flag: bool,
    /// Print JSON: one object, or a list if several tenants have a member with this id
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    match clean(text) {
        "" => Err("it is empty: give a member's id or key"),
        text => Ok(text.to_owned()),
    }
}

/// The three parts of a member's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    provider: String,
    tenant: String,
    id: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let keys = find(&target, &arguments).await?;
    if keys.is_empty() {
        bail!(
            "the system has no data about a member {:?}",
            arguments.member
        );
    }
    let contact_changes = arguments.do_not_contact || arguments.may_contact;
    let changes = arguments.forget || contact_changes || arguments.clear_flag;
    if changes && keys.len() > 1 {
        let keys: Vec<_> = keys.iter().map(Key::text).collect();
        bail!(
            "several members have this id: {}; name one by its key, or add --tenant",
            keys.join(", ")
        );
    }
    // An operator may mark an unknown member, but must notice a mistyped key.
    if changes && own_rows(&target, &keys[0]).await?.is_empty() {
        let key = harmless(&keys[0].text());
        eprintln!("note: the system has no data about {key} so far");
    }
    if arguments.forget {
        let forgotten = forget(&target, &keys[0], arguments.dry_run).await?;
        match arguments.json {
            true => say_json(&forgotten)?,
            false => say(&harmless(&forgotten.describe()))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    if contact_changes {
        mark(&target, &keys[0], arguments.do_not_contact).await?;
    }
    if arguments.clear_flag {
        clear_flags(&target, &keys[0]).await?;
    }
    let mut members = Vec::new();
    for key in &keys {
        members.push(Member::read(key, &own_rows(&target, key).await?));
    }
    if arguments.json {
        match members.as_slice() {
            [one] => say_json(one)?,
            several => say_json(&several)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let described: Vec<_> = members.iter().map(Member::describe).collect();
    say(&harmless(&described.join("\n")))?;
    Ok(ExitCode::SUCCESS)
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let [provider, tenant, id] = text.split('#').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Self {
            provider: provider.into(),
            tenant: unescape(tenant),
            id: unescape(id),
        })
    }

    fn text(&self) -> String {
        member_key(&self.provider, &self.tenant, &self.id)
    }
}

/// The members that the arguments name, in the order of their keys.
async fn find(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Key>> {
    if let Some(key) = Key::parse(&arguments.member) {
        if arguments
            .tenant
            .as_ref()
            .is_some_and(|it| *it != key.tenant)
        {
            bail!("the key names another tenant than --tenant does");
        }
        return Ok(vec![key]);
    }
    let mut found = BTreeSet::new();
    if let Some(tenant) = &arguments.tenant {
        for provider in [zupy::NAME, aghanim::NAME] {
            let key = Key {
                provider: provider.into(),
                tenant: tenant.clone(),
                id: arguments.member.clone(),
            };
            if !own_rows(target, &key).await?.is_empty() {
                found.insert(key);
            }
        }
        if !found.is_empty() {
            return Ok(found.into_iter().collect());
        }
    }
    found.extend(in_accounts(target, &arguments.member).await?);
    found.extend(in_events(target, &arguments.member).await?);
    if found.is_empty() {
        found.extend(in_refused(target, &arguments.member).await?);
    }
    let of_tenant = |key: &Key| arguments.tenant.as_ref().is_none_or(|it| *it == key.tenant);
    Ok(found.into_iter().filter(of_tenant).collect())
}

async fn in_accounts(target: &Target, id: &str) -> anyhow::Result<BTreeSet<Key>> {
    let end = format!("#{}", escape(id));
    let rows = target.scan_all("members", |members| {
        members
            .filter_expression("contains(#member, :end)")
            .expression_attribute_names("#member", "member")
            .expression_attribute_values(":end", AttributeValue::S(end.clone()))
            .projection_expression("#member")
    });
    let rows = rows.await?;
    let keys = rows.iter().filter_map(|row| text(row, "member"));
    Ok(keys
        .filter(|key| key.ends_with(&end))
        .filter_map(|key| Key::parse(&key))
        .collect())
}

async fn in_events(target: &Target, id: &str) -> anyhow::Result<BTreeSet<Key>> {
    let rows = events_of(target, id).await?;
    let key = |row: &Item| {
        Some(Key {
            provider: text(row, "provider")?,
            tenant: text(row, "tenant")?,
            id: id.to_owned(),
        })
    };
    Ok(rows.iter().filter_map(key).collect())
}

/// A refused body may name a member who has no other record.
async fn in_refused(target: &Target, id: &str) -> anyhow::Result<BTreeSet<Key>> {
    let mut found = BTreeSet::new();
    for provider in [zupy::NAME, aghanim::NAME] {
        for row in refused_rows(target, provider).await? {
            let Some(refused) = Refused::of(&row) else {
                continue;
            };
            if text(&row, "member").as_deref() == Some(id) || refused.names(id) {
                found.insert(Key {
                    provider: provider.into(),
                    tenant: refused.tenant_named().unwrap_or_else(|| "default".into()),
                    id: id.to_owned(),
                });
            }
        }
    }
    Ok(found)
}

/// The events of all members with this id, by key. Reads the whole table, because no index leads
/// from a member to their events.
async fn events_of(target: &Target, id: &str) -> anyhow::Result<Vec<Item>> {
    let events = target.scan_all("events", |events| {
        events
            .filter_expression("#member = :id")
            .expression_attribute_names("#member", "member")
            .expression_attribute_names("#provider", "provider")
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
            .projection_expression("coupon, entry, #provider, tenant")
    });
    events.await
}

/// A member's rows in the members table.
async fn own_rows(target: &Target, key: &Key) -> anyhow::Result<Vec<Item>> {
    let table = target.table("members")?;
    let rows = target
        .dynamodb
        .query()
        .table_name(table)
        .consistent_read(true)
        .key_condition_expression("#member = :member")
        .expression_attribute_names("#member", "member")
        .expression_attribute_values(":member", AttributeValue::S(key.text()))
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await;
    rows.map_err(|error| target.explain(error))
        .with_context(|| format!("reading the table {table}"))
}

async fn mark(target: &Target, key: &Key, do_not_contact: bool) -> anyhow::Result<()> {
    update(target, key, CONTACT, |contact| {
        contact
            .update_expression("SET do_not_contact = :flag, marked_at = :now")
            .expression_attribute_values(":flag", AttributeValue::Bool(do_not_contact))
    })
    .await
}

/// Clears every open flag. The flags' rows stay, so that the same finding raises no second flag.
async fn clear_flags(target: &Target, key: &Key) -> anyhow::Result<()> {
    for row in own_rows(target, key).await? {
        let is_raised = !row.contains_key("cleared_at");
        let entry = text(&row, "entry").filter(|it| it.starts_with(FLAG) && is_raised);
        let Some(entry) = entry else {
            continue;
        };
        update(target, key, &entry, |flag| {
            flag.update_expression("SET cleared_at = if_not_exists(cleared_at, :now)")
                .condition_expression("attribute_exists(entry)")
        })
        .await?;
    }
    Ok(())
}

/// Changes one of a member's rows. `:now` is the time.
async fn update(
    target: &Target,
    key: &Key,
    entry: &str,
    change: impl FnOnce(UpdateItemFluentBuilder) -> UpdateItemFluentBuilder,
) -> anyhow::Result<()> {
    let update = target
        .dynamodb
        .update_item()
        .table_name(target.table("members")?)
        .key("member", AttributeValue::S(key.text()))
        .key("entry", AttributeValue::S(entry.to_owned()))
        .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()));
    let updated = change(update).send().await;
    updated
        .map_err(|error| target.explain(error))
        .with_context(|| format!("changing {}/{entry}", key.text()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        for id in ["ZP-1", "a#b", "50%/off", "ção\n"] {
            let key = Key {
                provider: "zupy".into(),
                tenant: "comp#1".into(),
                id: id.into(),
            };
            assert_eq!(Key::parse(&key.text()), Some(key));
        }
        assert_eq!(Key::parse("ZP-1"), None);
        assert_eq!(Key::parse("zupy#comp#member#ZP-1"), None);
    }
}
