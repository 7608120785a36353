//! A member's own rows: the contact, the coupons and the flags. Masks personal data unless the
//! token may see them.

use std::cmp::Reverse;

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::member_key;
use webhooks::ledger::{Item, is_forgotten};
use webhooks::life::text;

use crate::masked::{masked_email, masked_name, masked_phone};
use crate::sources::Sources;

/// The most coupons, and the most flags, that one answer reads of a member.
const ROWS_MAX: usize = 500;

/// The members table's rows of one member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// `None` if no event ever stated a contact.
    pub contact: Option<Contact>,
    /// The latest redemption first.
    pub coupons: Vec<Coupon>,
    /// Whether the member has more coupons than these.
    pub has_more_coupons: bool,
    /// The latest flag first.
    pub flags: Vec<Flag>,
}

/// The member's addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contact {
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub tier: Option<String>,
    pub do_not_contact: bool,
    /// When an operator erased the member's data.
    pub forgotten_at: Option<Timestamp>,
}

/// A coupon in the account, or the items of a redemption.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coupon {
    pub code: String,
    pub state: Option<String>,
    pub reward: Option<String>,
    pub redeemed_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// The key of the redemption.
    pub event: Option<String>,
}

/// The mark of a critical finding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flag {
    pub event: String,
    /// The finding's type.
    pub kind: String,
    /// The finding's details, in words.
    pub why: String,
    pub flagged_at: Option<Timestamp>,
    /// When an operator cleared the flag.
    pub cleared_at: Option<Timestamp>,
}

/// The member's rows; `None` if there are none.
pub async fn read(
    sources: &Sources,
    (provider, tenant): (&str, &str),
    id: &str,
    personal: bool,
    now: Timestamp,
) -> anyhow::Result<Option<Account>> {
    let member = member_key(provider, tenant, id);
    let (contact, coupons, grants, flags) = futures_util::try_join!(
        rows(sources, &member, "contact", now),
        rows(sources, &member, "coupon#", now),
        rows(sources, &member, "grant#", now),
        rows(sources, &member, "flag#", now),
    )?;
    let contact = contact.0.first().map(|row| Contact::read(row, personal));
    let mut account = Account {
        contact,
        has_more_coupons: coupons.1 || grants.1,
        coupons: coupons
            .0
            .iter()
            .chain(&grants.0)
            .map(Coupon::read)
            .collect(),
        flags: flags.0.iter().map(Flag::read).collect(),
    };
    account.coupons.sort_by_key(|it| Reverse(it.redeemed_at));
    account.flags.sort_by_key(|it| Reverse(it.flagged_at));
    Ok((account != Account::default()).then_some(account))
}

/// Rows of a member with this prefix in their entries, without their long fields; and whether there
/// are more.
async fn rows(
    sources: &Sources,
    member: &str,
    beginning: &str,
    now: Timestamp,
) -> anyhow::Result<(Vec<Item>, bool)> {
    let names = [
        "entry",
        "ttl",
        "name",
        "email",
        "phone",
        "tier",
        "do_not_contact",
        "forgotten_at",
        "code",
        "state",
        "reward",
        "redeemed_at",
        "granted_at",
        "expires_at",
        "event",
        "type",
        "why",
        "flagged_at",
        "cleared_at",
    ];
    let placeholders: Vec<_> = names.iter().map(|name| format!("#{name}")).collect();
    let query = sources
        .client
        .query()
        .table_name(&sources.members_table)
        .consistent_read(true)
        .key_condition_expression("#member = :member AND begins_with(#entry, :beginning)")
        .projection_expression(placeholders.join(", "))
        .set_expression_attribute_names(Some(
            placeholders
                .into_iter()
                .zip(names.map(str::to_owned))
                .collect(),
        ))
        .expression_attribute_names("#member", "member")
        .expression_attribute_values(":member", AttributeValue::S(member.to_owned()))
        .expression_attribute_values(":beginning", AttributeValue::S(beginning.to_owned()));
    let mut pages = query.into_paginator().send();
    let mut rows: Vec<Item> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.context("reading a member's rows")?;
        let kept = page.items.unwrap_or_default().into_iter();
        rows.extend(kept.filter(|row| !is_forgotten(row, now)));
        if rows.len() > ROWS_MAX {
            rows.truncate(ROWS_MAX);
            return Ok((rows, true));
        }
    }
    Ok((rows, false))
}

fn time(row: &Item, name: &str) -> Option<Timestamp> {
    text(row, name)?.parse().ok()
}

impl Contact {
    fn read(row: &Item, personal: bool) -> Self {
        let shown = |name: &str, masked: fn(&str) -> String| {
            let value = text(row, name)?;
            Some(if personal { value } else { masked(&value) })
        };
        let flag = row.get("do_not_contact").and_then(|it| it.as_bool().ok());
        Self {
            name: shown("name", masked_name),
            email: shown("email", masked_email),
            phone: shown("phone", masked_phone),
            tier: text(row, "tier"),
            do_not_contact: flag == Some(&true),
            forgotten_at: time(row, "forgotten_at"),
        }
    }
}

impl Coupon {
    fn read(row: &Item) -> Self {
        Self {
            code: text(row, "code").unwrap_or_default(),
            state: text(row, "state"),
            reward: text(row, "reward"),
            redeemed_at: time(row, "redeemed_at").or_else(|| time(row, "granted_at")),
            expires_at: time(row, "expires_at"),
            event: text(row, "event"),
        }
    }
}

impl Flag {
    fn read(row: &Item) -> Self {
        Self {
            event: text(row, "event").unwrap_or_default(),
            kind: text(row, "type").unwrap_or_default(),
            why: text(row, "why").unwrap_or_default(),
            flagged_at: time(row, "flagged_at"),
            cleared_at: time(row, "cleared_at"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_masked_unless_it_may_be_seen() {
        let fields = [
            ("name", "Maria Silva"),
            ("email", "maria@example.com"),
            ("phone", "+5511987654321"),
            ("tier", "gold"),
        ];
        let row: Item = fields
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
            .into();
        let masked = Contact::read(&row, false);
        assert_eq!(masked.name.as_deref(), Some("M… S…"));
        assert_eq!(masked.email.as_deref(), Some("m…@e….com"));
        assert_eq!(masked.phone.as_deref(), Some("…21"));
        assert_eq!(masked.tier.as_deref(), Some("gold"));
        let whole = Contact::read(&row, true);
        assert_eq!(whole.name.as_deref(), Some("Maria Silva"));
        assert_eq!(whole.email.as_deref(), Some("maria@example.com"));
    }
}
