//! Reads the lives of coupons from the tables of a system.

use std::collections::BTreeSet;

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::ledger::{Item, body, is_forgotten};
use webhooks::life::{Account, Life, Lookup, Record, text};
use webhooks::task::Task;

use crate::target::Target;

/// The lives of all coupons that the lookup names; empty if there is none.
pub(crate) async fn lives(target: &Target, lookup: &Lookup) -> anyhow::Result<Vec<Life>> {
    let coupons = match lookup {
        Lookup::Key { coupon, .. } => BTreeSet::from([coupon.clone()]),
        Lookup::Code(code) => coupons_of_code(target, code).await?,
    };
    let mut lives = Vec::new();
    for coupon in coupons {
        let rows = rows(target, &coupon, None).await?;
        let mut life = Life::read(coupon, &rows);
        if let Lookup::Key {
            entry: Some(entry), ..
        } = lookup
        {
            life.keep_only(entry);
        }
        if life.is_known() {
            life.account = account(target, &life).await?;
            lives.push(life);
        }
    }
    Ok(lives)
}

/// The keys of the coupons that have a code; several tenants may have issued the same code. Reads
/// the whole table, because no index leads from a code to its coupons.
async fn coupons_of_code(target: &Target, code: &str) -> anyhow::Result<BTreeSet<String>> {
    let rows = target.scan_all("events", |events| {
        events
            .filter_expression("code = :code")
            .expression_attribute_values(":code", AttributeValue::S(code.to_owned()))
            .projection_expression("coupon")
    });
    let rows = rows.await?;
    Ok(rows.iter().filter_map(|row| text(row, "coupon")).collect())
}

/// A coupon's rows, or only those with this prefix in their entry. Their bodies are whole.
pub(crate) async fn rows(
    target: &Target,
    coupon: &str,
    beginning: Option<&str>,
) -> anyhow::Result<Vec<Item>> {
    Ok(body::join(raw_rows(target, coupon, beginning).await?))
}

/// The same rows, as the table stores them.
pub(crate) async fn raw_rows(
    target: &Target,
    coupon: &str,
    beginning: Option<&str>,
) -> anyhow::Result<Vec<Item>> {
    let table = target.table("events")?;
    let mut query = target
        .dynamodb
        .query()
        .table_name(table)
        .consistent_read(true)
        .expression_attribute_values(":coupon", AttributeValue::S(coupon.to_owned()));
    query = match beginning {
        None => query.key_condition_expression("coupon = :coupon"),
        Some(beginning) => query
            .key_condition_expression("coupon = :coupon AND begins_with(entry, :beginning)")
            .expression_attribute_values(":beginning", AttributeValue::S(beginning.to_owned())),
    };
    let rows = query.into_paginator().items().send().try_collect().await;
    let mut rows: Vec<Item> = rows
        .map_err(|error| target.explain(error))
        .with_context(|| format!("reading the table {table}"))?;
    // DynamoDB deletes expired rows days later; until then they count as absent.
    let now = Timestamp::now();
    rows.retain(|row| !is_forgotten(row, now));
    Ok(rows)
}

/// Puts the parts of a row's body together, for a row that was read on its own.
pub(crate) async fn whole(target: &Target, row: &Item) -> anyhow::Result<Item> {
    let Some((coupon, beginning)) = text(row, "coupon").zip(body::parts_of(row)) else {
        return Ok(row.clone());
    };
    let mut parts = raw_rows(target, &coupon, Some(&beginning)).await?;
    parts.push(row.clone());
    Ok(body::join(parts).pop().unwrap_or_default())
}

/// The records of one event's tasks.
pub(crate) async fn records(target: &Target, event: &str) -> anyhow::Result<Vec<Record>> {
    let (coupon, entry) = event
        .split_once('/')
        .with_context(|| format!("{event:?} is not an event's key"))?;
    let rows = rows(target, coupon, Some(&format!("{entry}/"))).await?;
    Ok(Life::read(coupon.to_owned(), &rows).tasks)
}

async fn account(target: &Target, life: &Life) -> anyhow::Result<Option<Account>> {
    let Some(event) = life.received.first() else {
        return Ok(None);
    };
    let table = target.table("members")?;
    let (member, entry) = event.account_key();
    let found = target
        .dynamodb
        .get_item()
        .table_name(table)
        .key("member", AttributeValue::S(member))
        .key("entry", AttributeValue::S(entry))
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("reading the table {table}"))?;
    Ok(found.item.as_ref().map(Account::read))
}

/// The task of this name, and its channel or alert if the name has one: `delivery`,
/// `delivery/email`, `fraud/alert/1`.
pub(crate) fn task_named(name: &str) -> Result<(Task, Option<String>), String> {
    for task in Task::ALL {
        if name == task.name() {
            return Ok((task, None));
        }
        if task.records().contains(&name) {
            return Ok((task, Some(name.to_owned())));
        }
    }
    // An event may have any number of alerts.
    if let Some(number) = name.strip_prefix("fraud/alert/")
        && number
            .parse::<u32>()
            .is_ok_and(|it| it.to_string() == number)
    {
        return Ok((Task::Fraud, Some(name.to_owned())));
    }
    let known = Task::ALL
        .iter()
        .flat_map(|task| std::iter::once(task.name()).chain(task.records().iter().copied()));
    let known: Vec<_> = known.collect();
    Err(format!("there are {}, fraud/alert/1", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_with_or_without_its_channel() {
        assert_eq!(task_named("delivery"), Ok((Task::Delivery, None)));
        for (task, name) in [
            (Task::Delivery, "delivery/email"),
            (Task::Fraud, "fraud/alert/12"),
        ] {
            assert_eq!(task_named(name), Ok((task, Some(name.to_owned()))));
        }
        for name in [
            "fraud/alert/",
            "fraud/alert/01",
            "fraud/alert/x",
            "fraud/email",
        ] {
            assert!(task_named(name).is_err(), "{name}");
        }
        let error = task_named("mail").unwrap_err();
        assert!(error.contains("delivery/email"), "{error}");
    }
}
