//! Alerts operators that the stock of a product is low, and names the use that caused it.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use webhooks::alerts::{
    self, MEND_PAUSE, Topic, Unpublished, line, may_claim, may_publish, quoted, shorten,
};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Event, EventKey, Fact};
use webhooks::figures::{Book, tasks};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Attached, Ledger};
use webhooks::stock::{Alert, AlertLease, Level, Product, Published, Stock, identity};
use webhooks::telemetry::{Count, count};
use webhooks::worker::Failure;

/// SNS takes subjects of up to 99 characters; the product's name gets this many of them.
const SUBJECT_NAME_MAX_CHARS: usize = 50;

/// How many alerts of products inventory publishes at the same time.
const CONCURRENCY: usize = 16;

/// Publishes alerts of low stock.
#[derive(Debug)]
pub(crate) struct Alerts {
    stock: Stock,
    ledger: Ledger,
    book: Book,
    topic: Topic,
}

/// The use that brought a product so low. The order is by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause {
    occurred_at: Timestamp,
    key: EventKey,
    provider: String,
    /// The tenant's day of the use, on which the alert counts.
    day: Date,
    /// The second at which the use expires.
    forgotten_from: i64,
    company: String,
    coupon: String,
    member: String,
    location: Option<String>,
    /// The product's name in the use.
    name: String,
}

impl Cause {
    pub(crate) fn of(event: &Event, name: &str, day: Date, forgotten_from: i64) -> Self {
        let location = match &event.fact {
            Fact::Used(usage) => usage.location.clone(),
            _ => None,
        };
        Self {
            occurred_at: event.occurred_at,
            key: event.key.clone(),
            provider: event.provider.clone(),
            day,
            forgotten_from,
            company: event.tenant.clone(),
            coupon: event.fact.coupon_code().unwrap_or_default().to_owned(),
            member: event.member.id.clone(),
            name: name.to_owned(),
            location,
        }
    }
}

impl Alerts {
    pub(crate) fn read(
        environment: &mut Environment,
        aws: &Aws,
        stock: Stock,
        ledger: Ledger,
    ) -> Self {
        Self {
            stock,
            ledger,
            book: Book::read(environment, aws, CallLimits::TASK),
            topic: Topic::read(environment, aws),
        }
    }

    /// Publishes an alert for each low product among these, by tenant and identity, unless it had
    /// one. Returns the failures; their alerts are still due.
    pub(crate) async fn publish_all(
        &self,
        causes: BTreeMap<(String, String), Cause>,
        invocation: Invocation,
    ) -> BTreeMap<(String, String), Failure> {
        if causes.is_empty() {
            return BTreeMap::new();
        }
        let named = causes.iter();
        let named = named.map(|((tenant, _), cause)| (tenant.clone(), cause.name.clone()));
        let named = named.collect();
        let products = match self.stock.products(&named).await {
            Ok(products) => products,
            Err(error) => {
                let each = causes.into_keys();
                return each
                    .map(|product| (product, anyhow!("{error:#}").into()))
                    .collect();
            }
        };
        let alerts = products.into_iter().filter_map(|product| {
            let key = (product.tenant.clone(), identity(&product.name));
            let cause = causes.get(&key).filter(|_| product.due_level().is_some())?;
            Some(async move { (key, self.publish(product, cause, invocation).await) })
        });
        let outcomes = stream::iter(alerts).buffer_unordered(CONCURRENCY);
        outcomes
            .filter_map(async |(product, outcome)| Some((product, outcome.err()?)))
            .collect()
            .await
    }

    async fn publish(
        &self,
        product: Product,
        cause: &Cause,
        invocation: Invocation,
    ) -> Result<(), Failure> {
        if !may_claim(invocation) {
            return Err(anyhow!("no time is left to claim the alert of a low product").into());
        }
        let lease = match self.stock.claim_alert(product, invocation).await? {
            Alert::Due(lease) => lease,
            Alert::NotDue | Alert::Held => return Ok(()),
            Alert::Taken => {
                return Err(anyhow!("another worker is alerting the low product").into());
            }
        };
        if !may_publish(invocation) {
            lease.release().await?;
            return Err(anyhow!("no time is left to publish the alert of a low product").into());
        }
        // Before the publication, because a failure until then causes no second alert.
        let counts = self.count(cause, invocation.now()).await;
        let kept_until = self.ledger.event_forgotten_from(&cause.key).await;
        let prepared = counts.and_then(|counts| Ok((counts, kept_until?)));
        let (counts, kept_until) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                lease.release().await?;
                return Err(error.into());
            }
        };
        let message = message(&lease.product, lease.level, cause);
        let unpublished = match self.topic.publish(message).await {
            Ok(id) => {
                tracing::info!(
                    event.key = %cause.key,
                    alert.id = id,
                    "Published an alert of low stock"
                );
                let until = cause.forgotten_from.max(kept_until.unwrap_or_default());
                let name = tasks::low_stock_record(lease.id());
                let now = invocation.now();
                let published = self.published(&lease, cause, counts, &id, (until, now));
                lease.settle(published).await?;
                // The event may have got a longer life during the publishing of the alert.
                let kept = self.ledger.keep_with_event(&cause.key, &name, until, now);
                return Ok(kept.await?);
            }
            Err(unpublished) => unpublished,
        };
        match &unpublished {
            Unpublished::Refused(_) => {
                count(Count::AlertFailed);
                tracing::error!(event.key = %cause.key, "{unpublished}");
                Ok(lease.fail(&unpublished.to_string()).await?)
            }
            Unpublished::Misconfigured(_) => {
                count(Count::AlertFailed);
                let until = invocation.now().checked_add(MEND_PAUSE);
                let until = until.context("delaying an alert")?;
                lease.hold(&unpublished.to_string(), until).await?;
                Err(Failure::Outside {
                    error: unpublished.into(),
                    after: Some(MEND_PAUSE),
                })
            }
            Unpublished::ForNow(_) => {
                lease.release().await?;
                Err(anyhow::Error::from(unpublished).into())
            }
        }
    }
}

impl Alerts {
    async fn count(&self, cause: &Cause, now: Timestamp) -> anyhow::Result<Attached> {
        let tally = tasks::low_stock(cause.day);
        let tenant = (cause.provider.as_str(), cause.company.as_str());
        let counts = self.book.attach(tenant, &tally, &cause.key, now).await;
        counts.context("counting an alert of low stock")
    }

    /// The record of an alert, within the use that caused it.
    fn published(
        &self,
        lease: &AlertLease,
        cause: &Cause,
        counts: Attached,
        message_id: &str,
        (until, now): (i64, Timestamp),
    ) -> Published {
        let name = cause.key.beneath(&tasks::low_stock_record(lease.id()));
        let Attached { fields, changes } = counts;
        let mut record = fields;
        record.set("status", Some("done"));
        record.set("result", Some(message_id));
        record.set("product", Some(&lease.product.name));
        record.set("level", Some(kind(lease.level)));
        record.set("finished_at", Some(now));
        let ttl = AttributeValue::N(until.to_string());
        record.0.insert("ttl".into(), ttl);
        Published {
            row: self.ledger.row_key(cause.key.coupon(), name),
            fields: record.0,
            counts: changes,
        }
    }
}

/// The level's name for machines.
fn kind(level: Level) -> &'static str {
    match level {
        Level::Low => "low_stock",
        Level::BelowZero => "stock_below_zero",
    }
}

fn message(product: &Product, level: Level, cause: &Cause) -> alerts::Alert {
    let name = line(&product.name);
    let on_hand = product.on_hand;
    let short = shorten(&name, SUBJECT_NAME_MAX_CHARS);
    let (subject, what) = match level {
        Level::Low => (
            format!("Low stock: {short}, {on_hand} left"),
            format!("{name} has reached its threshold."),
        ),
        Level::BelowZero => (
            format!("Stock below zero: {short}, {on_hand}"),
            format!(
                "Members used more of {name} than the recorded stock. \
                 Count the product and set its stock."
            ),
        ),
    };
    let company = line(&cause.company);
    let location = cause.location.as_deref().map_or("unknown".into(), line);
    let (quoted_name, tenant) = (quoted(&name), quoted(&product.tenant));
    let threshold = product.threshold;
    let (coupon, member) = (line(&cause.coupon), line(&cause.member));
    let text = format!(
        "{what}\n\n\
             Company:   {company}\n\
             Product:   {name}\n\
             On hand:   {on_hand}\n\
             Threshold: {threshold}\n\
             Location:  {location}\n\
             Coupon:    {coupon}\n\
             Member:    {member}\n\
             Event:     {}\n\n\
             The next alert can come only after a restock above the threshold:\n\
             coupons stock receive {quoted_name} <quantity> --tenant {tenant}\n\n\
             If {name} is another name of a counted product, map the name:\n\
             coupons stock map {quoted_name} <product> --tenant {tenant}\n",
        cause.key,
    );
    alerts::Alert {
        subject,
        text,
        attributes: vec![
            ("type", kind(level).to_owned()),
            ("tenant", company),
            ("product", name),
            ("event", cause.key.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn pizza(name: &str, on_hand: i64) -> Product {
        Product {
            tenant: "zupy#comp_bella_vista".into(),
            name: name.into(),
            on_hand: on_hand.into(),
            threshold: 5.into(),
            has_threshold: false,
            is_counted: true,
            alerted: None,
            alert_failed: None,
            spellings: std::collections::BTreeSet::new(),
        }
    }

    fn cause() -> Cause {
        Cause {
            occurred_at: Timestamp::UNIX_EPOCH,
            key: EventKey::used("zupy", "comp_bella_vista", "CP-1", "ord_1"),
            provider: "zupy".into(),
            day: "2026-11-28".parse().unwrap(),
            forgotten_from: 0,
            company: "comp_bella_vista".into(),
            coupon: "CP-1".into(),
            member: "ZP-1".into(),
            name: "Pizza".into(),
            location: Some("Loja Centro".into()),
        }
    }

    #[test]
    fn an_alert_names_product_stock_location_and_coupon() {
        let message = message(&pizza("Pizza d'Oro", 5), Level::Low, &cause());
        assert_eq!(message.subject, "Low stock: Pizza d'Oro, 5 left");
        assert_snapshot!(message.text, @r"
        Pizza d'Oro has reached its threshold.

        Company:   comp_bella_vista
        Product:   Pizza d'Oro
        On hand:   5
        Threshold: 5
        Location:  Loja Centro
        Coupon:    CP-1
        Member:    ZP-1
        Event:     zupy#comp_bella_vista#CP-1/used#ord_1

        The next alert can come only after a restock above the threshold:
        coupons stock receive 'Pizza d'\''Oro' <quantity> --tenant 'zupy#comp_bella_vista'

        If Pizza d'Oro is another name of a counted product, map the name:
        coupons stock map 'Pizza d'\''Oro' <product> --tenant 'zupy#comp_bella_vista'
        ");
        let attributes = [
            ("type", "low_stock".to_owned()),
            ("tenant", "comp_bella_vista".to_owned()),
            ("product", "Pizza d'Oro".to_owned()),
            ("event", "zupy#comp_bella_vista#CP-1/used#ord_1".to_owned()),
        ];
        assert_eq!(message.attributes, attributes);
    }

    #[test]
    fn a_stock_below_zero_is_alerted_as_such() {
        let mut cause = cause();
        cause.location = None;
        let message = message(&pizza("Pizza", -2), Level::BelowZero, &cause);
        assert_eq!(message.subject, "Stock below zero: Pizza, -2");
        assert_snapshot!(message.text, @"
        Members used more of Pizza than the recorded stock. Count the product and set its stock.

        Company:   comp_bella_vista
        Product:   Pizza
        On hand:   -2
        Threshold: 5
        Location:  unknown
        Coupon:    CP-1
        Member:    ZP-1
        Event:     zupy#comp_bella_vista#CP-1/used#ord_1

        The next alert can come only after a restock above the threshold:
        coupons stock receive 'Pizza' <quantity> --tenant 'zupy#comp_bella_vista'

        If Pizza is another name of a counted product, map the name:
        coupons stock map 'Pizza' <product> --tenant 'zupy#comp_bella_vista'
        ");
        assert_eq!(message.attributes[0].1, "stock_below_zero");
    }

    #[test]
    fn a_subject_is_one_that_sns_takes() {
        let name = format!("Pizza\n{}", "á".repeat(400));
        let product = Product {
            on_hand: "-79228162514264337593543950335".parse().unwrap(),
            ..pizza(&name, 0)
        };
        let subject = message(&product, Level::BelowZero, &cause()).subject;
        assert!(!subject.contains(char::is_control));
        assert!(
            subject.starts_with("Stock below zero: Pizza á"),
            "{subject}"
        );
        // The longest possible number has 38 digits; ours have at most 29.
        let without_number = subject.chars().count() - 30;
        assert!(without_number + 21 <= 99, "{subject}");
    }
}
