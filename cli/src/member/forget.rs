//! `coupons member --forget`: erases a member's personal data from every table.

mod surveys;

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use webhooks::event::{EventKey, tenant_key};
use webhooks::figures::line::{LINE, Share, Standing};
use webhooks::ledger::{Item, Refused, body};
use webhooks::life::text;
use webhooks::provider::{RecordedBody, without_personal_data};

use super::{CONTACT, Key, events_of, own_rows, update};
use crate::lives::raw_rows;
use crate::refused::refused_rows;
use crate::target::Target;

/// The longest time that an attempt to record an event takes. Parts of a body without a row stay
/// for this time, because the row may follow.
const UNDER_WAY_MAX: SignedDuration = SignedDuration::from_mins(15);

/// The counts of erased data; with `--dry-run`, of the data to erase.
#[derive(Debug, Default, Serialize)]
pub(super) struct Forgotten {
    member: String,
    dry_run: bool,
    /// Whether the command erased a contact.
    contact: bool,
    /// Coupons of the account that lost the member's points and the method of redemption.
    coupons: usize,
    /// Recorded bodies that lost their personal data.
    bodies: usize,
    /// Refused bodies that named the member; the command erases the whole body.
    refused: usize,
    /// Drafts of messages for sandbox and test events.
    drafts: usize,
    /// The profile's lines, one a coupon. Each line keeps its facts about the coupon, because the
    /// counters need them.
    lines: usize,
    /// Closed links of surveys.
    links: usize,
    /// Comments on answers to surveys. The ratings stay, as numbers.
    comments: usize,
}

/// Erases the personal data. Keys and hashes stay, so that the system still recognises a duplicate
/// webhook.
pub(super) async fn forget(target: &Target, key: &Key, dry_run: bool) -> anyhow::Result<Forgotten> {
    let mut forgotten = Forgotten {
        member: key.text(),
        dry_run,
        ..Forgotten::default()
    };
    let own = own_rows(target, key).await?;
    for row in &own {
        forget_points(target, key, row, &mut forgotten).await?;
    }
    let contact = own
        .iter()
        .find(|row| text(row, "entry").as_deref() == Some(CONTACT));
    let personal = ["name", "email", "phone", "tier"];
    if contact.is_some_and(|row| personal.iter().any(|name| row.contains_key(*name))) {
        forgotten.contact = true;
        if !dry_run {
            forget_contact(target, key).await?;
        }
    }
    forget_profile(target, key, &mut forgotten).await?;
    forget_refused(target, key, &mut forgotten).await?;
    let events = events_of(target, &key.id).await?;
    let of_tenant = format!("{}#", tenant_key(&key.provider, &key.tenant));
    let coupons = events.iter().filter_map(|row| text(row, "coupon"));
    let coupons: BTreeSet<_> = coupons.filter(|it| it.starts_with(&of_tenant)).collect();
    for coupon in coupons {
        forget_coupon(target, key, &coupon, &mut forgotten).await?;
    }
    Ok(forgotten)
}

/// Erases what a coupon's rows hold about the member.
async fn forget_coupon(
    target: &Target,
    key: &Key,
    coupon: &str,
    forgotten: &mut Forgotten,
) -> anyhow::Result<()> {
    let stored = raw_rows(target, coupon, None).await?;
    let all = body::join(stored.clone());
    let names_them = |row: &&Item| text(row, "member").as_deref() == Some(&key.id);
    let theirs = all.iter().filter(names_them);
    let theirs: Vec<_> = theirs.filter_map(|row| text(row, "entry")).collect();
    for entry in theirs.iter().filter(|it| !it.contains('/')) {
        let event = EventKey::recorded(coupon, entry);
        surveys::forget_survey(target, &event, forgotten).await?;
    }
    let mut named = Vec::new();
    for row in &all {
        let Some(entry) = text(row, "entry") else {
            continue;
        };
        // A draft names nobody; it belongs to the member of its event.
        let is_theirs = match text(row, "member") {
            Some(member) => member == key.id,
            None => theirs.iter().any(|event| {
                let rest = entry.strip_prefix(event.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            }),
        };
        named.extend(if is_theirs {
            forget_row(target, key, (coupon, &entry), row, forgotten).await?
        } else {
            body::named_parts(row)
        });
    }
    if forgotten.dry_run {
        return Ok(());
    }
    // Parts of stored bodies, including parts that an interrupted attempt left behind.
    let before = Timestamp::now() - UNDER_WAY_MAX;
    for part in stored.iter().filter(names_them) {
        let Some(entry) = text(part, "entry").filter(|it| body::is_part(it)) else {
            continue;
        };
        let is_named = named.iter().any(|it| entry.starts_with(it.as_str()));
        let has_row = theirs.iter().any(|it| entry.starts_with(&format!("{it}/")));
        let written: Option<Timestamp> = text(part, "received_at").and_then(|it| it.parse().ok());
        if !is_named && (has_row || written.is_none_or(|at| at < before)) {
            forget_part(target, (coupon, &entry)).await?;
        }
    }
    Ok(())
}

async fn forget_part(target: &Target, (coupon, entry): (&str, &str)) -> anyhow::Result<()> {
    let deleted = target
        .dynamodb
        .delete_item()
        .table_name(target.table("events")?)
        .key("coupon", AttributeValue::S(coupon.to_owned()))
        .key("entry", AttributeValue::S(entry.to_owned()))
        .send()
        .await;
    deleted
        .map_err(|error| target.explain(error))
        .with_context(|| format!("erasing {coupon}/{entry}"))?;
    Ok(())
}

/// Erases refused bodies whole, because nobody knows which of their fields identify a person.
async fn forget_refused(
    target: &Target,
    key: &Key,
    forgotten: &mut Forgotten,
) -> anyhow::Result<()> {
    for row in refused_rows(target, &key.provider).await? {
        let Some(refused) = Refused::of(&row) else {
            continue;
        };
        let of_another = refused.tenant.as_ref().is_some_and(|it| *it != key.tenant);
        let is_theirs = text(&row, "member").as_ref() == Some(&key.id) || refused.names(&key.id);
        if of_another || !is_theirs || refused.erased_at.is_some() {
            continue;
        }
        forgotten.refused += 1;
        if forgotten.dry_run {
            continue;
        }
        let (coupon, entry) = (refused.key.coupon(), refused.key.entry());
        let mut erased = row.clone();
        let none = body::put(&mut erased, b"{}");
        debug_assert!(none.is_empty());
        let updated = target
            .dynamodb
            .update_item()
            .table_name(target.table("events")?)
            .key("coupon", AttributeValue::S(coupon.to_owned()))
            .key("entry", AttributeValue::S(entry.to_owned()))
            .update_expression(format!(
                "SET {body} = :body, erased_at = :now REMOVE {parts}, {count}",
                body = body::BODY,
                parts = body::BODY_PARTS,
                count = body::BODY_PARTS_COUNT,
            ))
            .condition_expression("attribute_exists(entry)")
            .set_expression_attribute_values(Some(
                [
                    (":body".to_owned(), erased[body::BODY].clone()),
                    (
                        ":now".to_owned(),
                        AttributeValue::S(Timestamp::now().to_string()),
                    ),
                ]
                .into(),
            ))
            .send()
            .await;
        updated
            .map_err(|error| target.explain(error))
            .with_context(|| format!("erasing {}", refused.key))?;
        let beginning = format!("{entry}/");
        for part in raw_rows(target, coupon, Some(&beginning)).await? {
            if let Some(part) = text(&part, "entry") {
                forget_part(target, (coupon, &part)).await?;
            }
        }
    }
    Ok(())
}

/// Erases what a coupon's row in the account says about the member rather than the coupon.
async fn forget_points(
    target: &Target,
    key: &Key,
    row: &Item,
    forgotten: &mut Forgotten,
) -> anyhow::Result<()> {
    let names = ["points_spent", "new_balance", "method"];
    let entry = text(row, "entry").filter(|it| it.starts_with("coupon#"));
    let Some(entry) = entry.filter(|_| names.iter().any(|name| row.contains_key(*name))) else {
        return Ok(());
    };
    forgotten.coupons += 1;
    if forgotten.dry_run {
        return Ok(());
    }
    update(target, key, &entry, |coupon| {
        coupon
            .update_expression("REMOVE points_spent, new_balance, #method SET erased_at = :now")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_names("#method", "method")
    })
    .await
}

/// How often the command reads a line again if it changes meanwhile.
const LINE_ATTEMPTS: usize = 5;

/// Erases the member's share of the lines that make up their profile.
async fn forget_profile(
    target: &Target,
    key: &Key,
    forgotten: &mut Forgotten,
) -> anyhow::Result<()> {
    for attempt in 1.. {
        let rows = own_rows(target, key).await?;
        let mut left = 0;
        for row in &rows {
            let entry = text(row, "entry").filter(|it| it.starts_with(LINE));
            let (Some(entry), Ok(standing)) = (entry, Standing::read(row)) else {
                continue;
            };
            if standing.line.share == Share::default() {
                continue;
            }
            forgotten.lines += usize::from(attempt == 1);
            if !forgotten.dry_run && !forget_share(target, key, &entry, row).await? {
                left += 1;
            }
        }
        if left == 0 {
            return Ok(());
        }
        if attempt == LINE_ATTEMPTS {
            bail!("{left} of the member's coupons keep changing: try again");
        }
    }
    Ok(())
}

/// Erases a line's share. Returns false if the line has changed since its reading.
async fn forget_share(target: &Target, key: &Key, entry: &str, row: &Item) -> anyhow::Result<bool> {
    let mut line = Standing::read(row)?.line;
    line.share = Share::default();
    let seen = row.get("line").cloned().context("a line has no contents")?;
    let updated = target
        .dynamodb
        .update_item()
        .table_name(target.table("members")?)
        .key("member", AttributeValue::S(key.text()))
        .key("entry", AttributeValue::S(entry.to_owned()))
        .update_expression("SET #line = :line")
        .condition_expression("#line = :seen")
        .expression_attribute_names("#line", "line")
        .expression_attribute_values(":line", AttributeValue::S(serde_json::to_string(&line)?))
        .expression_attribute_values(":seen", seen)
        .send()
        .await;
    match updated {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(target.explain(error)).context("erasing a line of a profile"),
    }
}

async fn forget_contact(target: &Target, key: &Key) -> anyhow::Result<()> {
    update(target, key, CONTACT, |contact| {
        contact
            .update_expression("REMOVE #name, email, phone, tier SET forgotten_at = :now")
            .expression_attribute_names("#name", "name")
    })
    .await
}

/// Erases the personal data in a row's body. Returns the prefix of the names of the parts that
/// store the new body, if it needs parts.
async fn forget_row(
    target: &Target,
    key: &Key,
    (coupon, entry): (&str, &str),
    row: &Item,
    forgotten: &mut Forgotten,
) -> anyhow::Result<Option<String>> {
    let body = match body::read(row) {
        Err(body::Unreadable::Absent) => None,
        // An unreadable body is erased too.
        body => Some(String::from_utf8(body.unwrap_or_default()).unwrap_or_default()),
    };
    let erased = body.as_ref().and_then(|body| {
        let erased = without_personal_data(&RecordedBody {
            provider: &key.provider,
            scheme: &text(row, "scheme").unwrap_or_default(),
            tenant: &key.tenant,
            body,
            time_zone: None,
        });
        // An unreadable body is erased too.
        let erased = erased.unwrap_or_else(|| "{}".into());
        let same = |a: &str, b: &str| {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            read(a) == read(b)
        };
        (!same(&erased, body)).then_some(erased)
    });
    let has_draft = row.contains_key("would_send");
    forgotten.bodies += usize::from(erased.is_some());
    forgotten.drafts += usize::from(has_draft);
    if forgotten.dry_run || (erased.is_none() && !has_draft) {
        return Ok(body::named_parts(row));
    }
    let table = target.table("events")?;
    let mut with_erased = row.clone();
    if row.contains_key(body::BODY_PARTS) {
        with_erased.remove(body::BODY);
    }
    if let Some(erased) = erased {
        for part in body::put(&mut with_erased, erased.as_bytes()) {
            let put = target.dynamodb.put_item().table_name(table);
            put.set_item(Some(part))
                .send()
                .await
                .map_err(|error| target.explain(error))
                .with_context(|| format!("erasing {coupon}/{entry}"))?;
        }
    }
    let now = AttributeValue::S(Timestamp::now().to_string());
    let mut update = target
        .dynamodb
        .update_item()
        .table_name(table)
        .key("coupon", AttributeValue::S(coupon.to_owned()))
        .key("entry", AttributeValue::S(entry.to_owned()))
        .condition_expression("attribute_exists(entry)")
        .expression_attribute_values(":now", now);
    let (mut set, mut removed) = (Vec::new(), vec!["would_send"]);
    for name in [body::BODY, body::BODY_PARTS, body::BODY_PARTS_COUNT] {
        match with_erased.get(name) {
            Some(value) => {
                set.push(format!("{name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), value.clone());
            }
            None => removed.push(name),
        }
    }
    set.push("erased_at = :now".to_owned());
    update = update.update_expression(format!(
        "SET {} REMOVE {}",
        set.join(", "),
        removed.join(", ")
    ));
    let updated = update.send().await;
    updated
        .map_err(|error| target.explain(error))
        .with_context(|| format!("erasing {coupon}/{entry}"))?;
    Ok(body::named_parts(&with_erased))
}

impl Forgotten {
    pub(super) fn describe(&self) -> String {
        let verb = if self.dry_run {
            "would erase"
        } else {
            "erased"
        };
        let contact = if self.contact {
            "the contact"
        } else {
            "no contact"
        };
        format!(
            "{}: {verb} {contact}, the personal data in {} recorded bodies, {} drafts, {} refused \
             bodies, the points of {} coupons, the figures of {} coupons, {} links of surveys, and \
             {} comments.\n\
             Messages in queues and dead-letter queues hold such data until a task processes \
             them, for 14 days at most. Backups of the tables hold it for 35 days.\n",
            self.member,
            self.bodies,
            self.drafts,
            self.refused,
            self.coupons,
            self.lines,
            self.links,
            self.comments
        )
    }
}
