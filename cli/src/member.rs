//! `coupons member`: shows what is kept about a member, erases their personal data, and stops
//! messages to them.

mod forget;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use webhooks::event::{escape, member_key, unescape};
use webhooks::figures::{
    self,
    line::{LINE, Standing},
};
use webhooks::fraud::{FLAG, HISTORY, RUSHES};
use webhooks::identifier::clean;
use webhooks::ledger::{Item, Refused};
use webhooks::life::text;
use webhooks::provider::{aghanim, zupy};

use crate::output::{harmless, say, say_json};
use crate::refused::refused_rows;
use crate::target::{self, Target};
use forget::forget;

const EXAMPLES: &str = "\
Examples:
  coupons member ZP-4F95FB0A
  coupons member ZP-4F95FB0A --tenant comp_bella_vista --json
  coupons member 'zupy#comp_bella_vista#ZP-4F95FB0A' --do-not-contact
  coupons member ZP-4F95FB0A --clear-flag
  coupons member ZP-4F95FB0A --forget --dry-run";

/// The entry of the row that holds a member's contact.
const CONTACT: &str = "contact";

/// Show what is kept about a member, erase their personal data, stop or allow messages, or clear
/// flags.
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
    /// Erase name, e-mail address and phone number everywhere; ids and keys stay, so that
    /// duplicates are still recognised
    #[arg(long, conflicts_with_all = ["do_not_contact", "may_contact", "clear_flag"])]
    forget: bool,
    /// Print what would be erased, and erase nothing
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

/// What is kept about a member.
#[derive(Debug, Default, Serialize)]
struct Member {
    /// The member's key.
    member: String,
    contact: Option<Contact>,
    do_not_contact: bool,
    /// When the member's personal data were erased, if ever.
    forgotten_at: Option<String>,
    /// Whether a flag is raised and nobody has cleared it.
    flagged: bool,
    flags: Vec<Flag>,
    /// The redemptions of the last days, by time. Fraud rules count them to find a member who
    /// redeems too fast.
    redemptions: Vec<Redemption>,
    coupons: Vec<Coupon>,
    /// In-game items that were recorded for a player.
    grants: Vec<Grant>,
    /// What the member redeemed and used so far, as the reports count it. Absent if no event of the
    /// member was counted.
    profile: Option<Profile>,
    /// Entries of kinds that this version does not know.
    other: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Profile {
    redemptions: u64,
    points: i64,
    uses: u64,
    /// Amounts by currency, as decimals.
    money_saved: BTreeMap<String, String>,
    first_redemption: Option<Timestamp>,
    last_redemption: Option<Timestamp>,
    days_between_redemptions: Option<f64>,
    preferred_category: Option<String>,
    categories: BTreeMap<String, u64>,
}

impl Profile {
    fn of(profile: &figures::Profile) -> Self {
        let saved = profile.money_saved.iter();
        Self {
            redemptions: profile.redemptions,
            points: profile.points,
            uses: profile.uses,
            money_saved: saved
                .map(|(currency, sum)| (currency.clone(), sum.to_string()))
                .collect(),
            first_redemption: profile.first_redemption,
            last_redemption: profile.last_redemption,
            days_between_redemptions: profile.days_between_redemptions(),
            preferred_category: profile.preferred_category().map(str::to_owned),
            categories: profile.categories.clone(),
        }
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "{} redemptions for {} points, {} uses",
            self.redemptions, self.points, self.uses
        );
        for (currency, sum) in &self.money_saved {
            text.push_str(&format!(", saved {sum} {currency}"));
        }
        if let Some(category) = self
            .preferred_category
            .as_deref()
            .filter(|it| !it.is_empty())
        {
            text.push_str(&format!(", mostly {category}"));
        }
        if let Some(at) = self.last_redemption {
            text.push_str(&format!(", last at {at}"));
        }
        text
    }
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Contact {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    /// When the provider last sent the contact.
    told_at: Option<String>,
}

/// A critical finding about one of the member's events.
#[derive(Debug, Serialize)]
struct Flag {
    event: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    why: Option<String>,
    flagged_at: Option<String>,
    cleared_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Redemption {
    at: String,
    /// The coupon's key.
    coupon: Option<String>,
}

#[derive(Debug, Serialize)]
struct Coupon {
    code: String,
    state: Option<String>,
    reward: Option<String>,
    redeemed_at: Option<String>,
    expires_at: Option<String>,
    /// What the redemption cost, and the member's points after it.
    points_spent: Option<i64>,
    new_balance: Option<i64>,
    /// How the member redeemed the coupon.
    method: Option<String>,
    /// The redemption's key.
    event: Option<String>,
}

#[derive(Debug, Serialize)]
struct Grant {
    code: String,
    granted_at: Option<String>,
    event: Option<String>,
    items: serde_json::Value,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let keys = find(&target, &arguments).await?;
    if keys.is_empty() {
        bail!("nothing is kept about a member {:?}", arguments.member);
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
    // An operator may mark an unknown member, but a mistyped key must be noticed.
    if changes && own_rows(&target, &keys[0]).await?.is_empty() {
        let key = harmless(&keys[0].text());
        eprintln!("note: nothing is recorded about {key} so far");
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

/// A refused body may name a member of whom nothing else is recorded.
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

impl Member {
    fn read(key: &Key, rows: &[Item]) -> Self {
        let mut member = Self {
            member: key.text(),
            ..Self::default()
        };
        let mut profile = figures::Profile::default();
        for row in rows {
            let is_line = text(row, "entry").is_some_and(|it| it.starts_with(LINE));
            match Standing::read(row) {
                Ok(standing) if is_line => profile.add(&standing.line.share),
                _ => member.take(row),
            }
        }
        let is_counted = profile != figures::Profile::default();
        member.profile = is_counted.then(|| Profile::of(&profile));
        member
    }

    fn take(&mut self, row: &Item) {
        let Some(entry) = text(row, "entry") else {
            return;
        };
        let field = |name: &str| text(row, name);
        let number = |name: &str| row.get(name)?.as_n().ok()?.parse().ok();
        if entry == CONTACT {
            let contact = Contact {
                name: field("name"),
                email: field("email"),
                phone: field("phone"),
                told_at: field("told_at"),
            };
            let known =
                contact.name.is_some() || contact.email.is_some() || contact.phone.is_some();
            self.contact = known.then_some(contact);
            self.forgotten_at = field("forgotten_at");
            let flag = row.get("do_not_contact");
            self.do_not_contact = flag.and_then(|it| it.as_bool().ok()) == Some(&true);
        } else if entry.starts_with("coupon#") {
            self.coupons.push(Coupon {
                code: field("code").unwrap_or_default(),
                state: field("state"),
                reward: field("reward"),
                redeemed_at: field("redeemed_at"),
                expires_at: field("expires_at"),
                points_spent: number("points_spent"),
                new_balance: number("new_balance"),
                method: field("method"),
                event: field("event"),
            });
        } else if entry.starts_with(FLAG) {
            let flag = Flag {
                event: field("event"),
                kind: field("type"),
                why: field("why"),
                flagged_at: field("flagged_at"),
                cleared_at: field("cleared_at"),
            };
            self.flagged |= flag.cleared_at.is_none();
            self.flags.push(flag);
        } else if let Some(at) = entry.strip_prefix(HISTORY) {
            let at = at.split('#').next().unwrap_or_default();
            self.redemptions.push(Redemption {
                at: at.to_owned(),
                coupon: field("coupon"),
            });
        } else if entry.starts_with("grant#") {
            let items = field("items").and_then(|items| serde_json::from_str(&items).ok());
            self.grants.push(Grant {
                code: field("code").unwrap_or_default(),
                granted_at: field("granted_at"),
                event: field("event"),
                items: items.unwrap_or_default(),
            });
        } else if entry != RUSHES {
            // This row only says which alerts were published; the redemptions hold everything else.
            self.other.push(entry);
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("{}\n", self.member);
        let mut line = |what: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.push_str(&format!("  {what:<10} {value}\n"));
            }
        };
        match &self.contact {
            Some(contact) => {
                line("name", contact.name.as_deref());
                line("e-mail", contact.email.as_deref());
                line("phone", contact.phone.as_deref());
            }
            None => line("contact", Some("none is kept")),
        }
        let profile = self.profile.as_ref().map(Profile::describe);
        line("figures", profile.as_deref());
        if let Some(at) = &self.forgotten_at {
            line("erased", Some(at));
        }
        if self.do_not_contact {
            line("messages", Some("none: do not contact"));
        }
        for flag in &self.flags {
            let field = |field: &Option<String>| field.clone().unwrap_or_else(|| "?".into());
            let mut words = format!(
                "{}: {}; {}, {}",
                field(&flag.kind),
                field(&flag.why),
                field(&flag.event),
                field(&flag.flagged_at)
            );
            if let Some(at) = &flag.cleared_at {
                words.push_str(&format!("; cleared {at}"));
            }
            line("flag", Some(&words));
        }
        if let (Some(first), Some(last)) = (self.redemptions.first(), self.redemptions.last()) {
            let (count, first, last) = (self.redemptions.len(), &first.at, &last.at);
            let words = format!("{count} lately, the first at {first}, the last at {last}");
            line("redeemed", Some(&words));
        }
        for coupon in &self.coupons {
            let state = coupon.state.as_deref().unwrap_or("no state");
            let mut words = format!("{} {state}", coupon.code);
            if let Some(reward) = &coupon.reward {
                words.push_str(&format!(", {reward}"));
            }
            if let Some(at) = &coupon.expires_at {
                words.push_str(&format!(", expires {at}"));
            }
            if let Some(points) = coupon.points_spent {
                words.push_str(&format!(", for {points} points"));
            }
            if let Some(balance) = coupon.new_balance {
                words.push_str(&format!(", {balance} left"));
            }
            if let Some(method) = &coupon.method {
                words.push_str(&format!(", redeemed by {method}"));
            }
            line("coupon", Some(&words));
        }
        for grant in &self.grants {
            let items = grant.items.as_array().into_iter().flatten();
            let items: Vec<_> = items
                .map(|it| format!("{} x {}", it["sku"].as_str().unwrap_or("?"), it["quantity"]))
                .collect();
            line(
                "grant",
                Some(&format!("{}: {}", grant.code, items.join(", "))),
            );
        }
        for entry in &self.other {
            line("other", Some(entry));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Item {
        let fields = fields.iter();
        fields
            .map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())))
            .collect()
    }

    const LINE_OF_CP_1: &str = r#"{"uses":1,"share":{"redeemed_at":"2026-11-22T10:00:00Z","points":1000,
        "category":"product_free","uses":1,"saved":{"BRL":"35"}}}"#;

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

    #[test]
    fn a_member_reads_from_top_to_bottom() {
        let key = Key::parse("zupy#comp#ZP-1").unwrap();
        let mut contact = row(&[
            ("entry", "contact"),
            ("name", "Maria"),
            ("phone", "+55"),
            ("told_at", "2026-11-22T10:00:00Z"),
        ]);
        contact.insert("do_not_contact".into(), AttributeValue::Bool(true));
        let mut coupon = row(&[
            ("entry", "coupon#CP-1"),
            ("code", "CP-1"),
            ("state", "used"),
            ("reward", "Pizza"),
            ("expires_at", "2027-01-01T00:00:00Z"),
            ("method", "app"),
        ]);
        for (name, points) in [("points_spent", "200"), ("new_balance", "1350")] {
            coupon.insert(name.into(), AttributeValue::N(points.into()));
        }
        let rows = [
            contact,
            coupon,
            row(&[
                ("entry", "grant#k"),
                ("code", "WELCOME"),
                ("items", r#"[{"sku":"gem","quantity":3}]"#),
            ]),
            row(&[
                ("entry", "flag#e#excessive_discount"),
                ("event", "zupy#comp#CP-1/used#1"),
                ("type", "excessive_discount"),
                ("why", "a discount of 36 BRL on an order of 35 BRL"),
                ("flagged_at", "2026-11-22T10:00:00Z"),
                ("cleared_at", "2026-11-23T10:00:00Z"),
            ]),
            row(&[("entry", "redeemed@2026-11-22T10:00:00.000000000Z#c")]),
            row(&[("entry", "figures#c"), ("line", LINE_OF_CP_1)]),
            row(&[("entry", "novelty#1")]),
        ];
        assert_eq!(
            Member::read(&key, &rows).describe(),
            "\
zupy#comp#ZP-1
  name       Maria
  phone      +55
  figures    1 redemptions for 1000 points, 1 uses, saved 35 BRL, mostly product_free, last at 2026-11-22T10:00:00Z
  messages   none: do not contact
  flag       excessive_discount: a discount of 36 BRL on an order of 35 BRL; zupy#comp#CP-1/used#1, 2026-11-22T10:00:00Z; cleared 2026-11-23T10:00:00Z
  redeemed   1 lately, the first at 2026-11-22T10:00:00.000000000Z, the last at 2026-11-22T10:00:00.000000000Z
  coupon     CP-1 used, Pizza, expires 2027-01-01T00:00:00Z, for 200 points, 1350 left, redeemed by app
  grant      WELCOME: gem x 3
  other      novelty#1
"
        );
        let nobody = Member::read(&key, &[]);
        assert_eq!(
            nobody.describe(),
            "zupy#comp#ZP-1\n  contact    none is kept\n"
        );
    }
}
