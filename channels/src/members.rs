//! The members table: a member's contact, and the member's coupons.

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, EventKey, escape, member_key};
use webhooks::ledger::{Change, Item, ItemKey, Row, is_forgotten};

use crate::contact::{Contact, Stated};

/// The entry of a member's contact.
const CONTACT: &str = "contact";

/// The prefix of a coupon's entry, before the coupon's code.
const COUPON: &str = "coupon#";

/// The attribute of a coupon that may wait for its member's contact.
pub const WAITS: &str = "waits";

/// How many of a member's coupons one query reads.
const PAGE_ROWS: i32 = 500;

/// Reads and changes the table.
#[derive(Debug)]
pub struct Members {
    client: Client,
    pub table: String,
}

/// A coupon as the account shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountCoupon {
    pub state: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// The key of the coupon's redemption.
    pub event: Option<EventKey>,
    /// The row's entry.
    pub entry: String,
}

/// Waiting coupons, and the row after which more may follow.
#[derive(Debug)]
pub struct Page {
    pub coupons: Vec<AccountCoupon>,
    pub next: Option<String>,
}

impl AccountCoupon {
    fn read(row: &Item) -> Self {
        Self {
            state: text(row, "state"),
            expires_at: text(row, "expires_at").and_then(|at| at.parse().ok()),
            event: text(row, "event").and_then(|key| EventKey::parse(&key)),
            entry: text(row, "entry").unwrap_or_default(),
        }
    }

    /// Whether the member can still use the coupon. A coupon in an unknown state counts as usable.
    pub fn is_usable(&self, now: Timestamp) -> Result<(), String> {
        match self.state.as_deref() {
            None | Some("active") => {}
            Some(state) => return Err(format!("the coupon is {state}")),
        }
        match self.expires_at {
            Some(at) if at <= now => Err("the coupon has expired".into()),
            _ => Ok(()),
        }
    }
}

impl Members {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            table: environment.text("MEMBERS_TABLE"),
        }
    }

    /// The contact of the event's member; an empty one if no enrolment came.
    pub async fn contact(&self, event: &Event) -> anyhow::Result<Contact> {
        let row = self.get(event, CONTACT.into()).await?;
        let row = row.unwrap_or_default();
        let flag = row.get("do_not_contact").and_then(|it| it.as_bool().ok());
        let stated = Stated {
            at: text(&row, "told_at").and_then(|at| at.parse().ok()),
            name: text(&row, "name"),
            email: text(&row, "email"),
            phone: text(&row, "phone"),
        };
        let forgotten_at: Option<Timestamp> =
            text(&row, "forgotten_at").and_then(|at| at.parse().ok());
        Ok(Contact {
            forgotten: forgotten_at.is_some_and(|at| stated.at.is_none_or(|stated| stated <= at)),
            stated,
            do_not_contact: flag == Some(&true),
        })
    }

    /// The change that writes the contact of an event, unless the table has a later one.
    pub fn keep_contact(&self, event: &Event) -> Change {
        let mut row = Row::default();
        row.set("told_at", Some(format!("{:.9}", event.occurred_at)));
        let stated = Stated::by(&event.member, event.occurred_at);
        row.copy("name", stated.name.as_ref());
        row.copy("email", stated.email.as_ref());
        row.copy("phone", stated.phone.as_ref());
        row.copy("tier", event.member.tier.as_ref());
        // The change removes fields that this contact does not name, so that the latest contact
        // counts in every order.
        let absent = ["name", "email", "phone", "tier"].into_iter();
        let absent: Vec<_> = absent.filter(|name| !row.0.contains_key(*name)).collect();
        let later = "attribute_not_exists(#told_at) OR #told_at < :told_at";
        let change = self.change(event, CONTACT).set_all(row).only_if(later, &[]);
        absent.into_iter().fold(change, Change::remove)
    }

    /// A change to a row of the event's member.
    pub fn change(&self, event: &Event, entry: impl Into<String>) -> Change {
        let member = member_key(&event.provider, &event.tenant, &event.member.id);
        Change::of(ItemKey::new(
            &self.table,
            ("member", member),
            ("entry", entry),
        ))
    }

    /// The account's row of the event's coupon.
    pub async fn coupon(
        &self,
        event: &Event,
        code: &str,
        now: Timestamp,
    ) -> anyhow::Result<AccountCoupon> {
        let row = self.get(event, format!("{COUPON}{}", escape(code))).await?;
        let row = row.filter(|row| !is_forgotten(row, now));
        Ok(row.as_ref().map(AccountCoupon::read).unwrap_or_default())
    }

    /// The member's coupons that wait for the contact: one page, after the row with this entry.
    pub async fn waiting(
        &self,
        event: &Event,
        after: Option<&str>,
        now: Timestamp,
    ) -> anyhow::Result<Page> {
        let after = after.map(|entry| {
            let entry = AttributeValue::S(entry.to_owned());
            [("member".into(), member(event)), ("entry".into(), entry)].into()
        });
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#member = :member AND begins_with(#entry, :coupon)")
            .filter_expression("attribute_exists(#waits)")
            .expression_attribute_names("#member", "member")
            .expression_attribute_names("#entry", "entry")
            .expression_attribute_names("#waits", WAITS)
            .expression_attribute_values(":member", member(event))
            .expression_attribute_values(":coupon", AttributeValue::S(COUPON.into()))
            .set_exclusive_start_key(after)
            .limit(PAGE_ROWS)
            .send()
            .await
            .context("reading the member's coupons")?;
        let known = page.items().iter().filter(|row| !is_forgotten(row, now));
        let next = page.last_evaluated_key();
        Ok(Page {
            next: next.and_then(|row| text(row, "entry")),
            coupons: known.map(AccountCoupon::read).collect(),
        })
    }

    /// Records that a coupon no longer waits for its member's contact.
    pub async fn stop_waiting(&self, event: &Event, entry: &str) -> anyhow::Result<()> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("member", member(event))
            .key("entry", AttributeValue::S(entry.to_owned()))
            .update_expression("REMOVE #waits")
            .condition_expression("attribute_exists(#waits)")
            .expression_attribute_names("#waits", WAITS)
            .send()
            .await;
        match updated {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Err(error).context("marking a coupon that no longer waits")
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, event: &Event, entry: String) -> anyhow::Result<Option<Item>> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("member", member(event))
            .key("entry", AttributeValue::S(entry))
            .consistent_read(true)
            .send()
            .await
            .context("reading the member")?;
        Ok(found.item)
    }
}

fn member(event: &Event) -> AttributeValue {
    let key = member_key(&event.provider, &event.tenant, &event.member.id);
    AttributeValue::S(key)
}

fn text(row: &Item, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}
