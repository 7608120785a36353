//! What `coupons member` shows about a member, read from the rows of the members table.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use webhooks::figures::{
    self,
    line::{LINE, Standing},
};
use webhooks::fraud::{FLAG, HISTORY, RUSHES};
use webhooks::ledger::Item;
use webhooks::life::text;

use super::{CONTACT, Key};

/// The data kept about a member.
#[derive(Debug, Default, Serialize)]
pub(super) struct Member {
    /// The member's key.
    member: String,
    contact: Option<Contact>,
    do_not_contact: bool,
    /// When an operator erased the member's personal data, if ever.
    forgotten_at: Option<String>,
    /// Whether the member has a flag that nobody has cleared.
    flagged: bool,
    flags: Vec<Flag>,
    /// The redemptions of the last days, by time. Fraud rules count them to find a member who
    /// redeems too fast.
    redemptions: Vec<Redemption>,
    coupons: Vec<Coupon>,
    /// The recorded in-game items of a player.
    grants: Vec<Grant>,
    /// What the member redeemed and used so far, as the reports count it. Absent if analytics
    /// counted no event of the member.
    profile: Option<Profile>,
    /// Entries of kinds that this version does not know.
    other: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Profile {
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
pub(super) struct Contact {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    /// When the provider last sent the contact.
    told_at: Option<String>,
}

/// A critical finding about one of the member's events.
#[derive(Debug, Serialize)]
pub(super) struct Flag {
    event: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    why: Option<String>,
    flagged_at: Option<String>,
    cleared_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Redemption {
    at: String,
    /// The coupon's key.
    coupon: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Coupon {
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
pub(super) struct Grant {
    code: String,
    granted_at: Option<String>,
    event: Option<String>,
    items: serde_json::Value,
}

impl Member {
    pub(super) fn read(key: &Key, rows: &[Item]) -> Self {
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
            // This row only holds the published alerts; the redemptions hold everything else.
            self.other.push(entry);
        }
    }

    pub(super) fn describe(&self) -> String {
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
                .map(|item| {
                    format!(
                        "{} x {}",
                        item["sku"].as_str().unwrap_or("?"),
                        item["quantity"]
                    )
                })
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
    use aws_sdk_dynamodb::types::AttributeValue;
    use insta::assert_snapshot;

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
        assert_snapshot!(Member::read(&key, &rows).describe(), @"
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
        ");
        let nobody = Member::read(&key, &[]);
        assert_eq!(
            nobody.describe(),
            "zupy#comp#ZP-1\n  contact    none is kept\n"
        );
    }
}
