//! What must hold of the stock: quantities on hand, reservations, and alerts.
//!
//! Quantities are numbers of halves here.

use std::collections::{BTreeMap, BTreeSet};

use emulators::sent::Detail;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Judge;
use super::sendings::Alert;
use crate::story::{CATALOGUE, Event, Kind, Variant, product_of};
use crate::world::{COMPANIES, THRESHOLD, World};

/// Whether the inventory gets an event.
pub(super) fn concerns(kind: Kind, variant: &Variant) -> bool {
    match kind {
        Kind::Redeemed => reserves(variant),
        Kind::Used | Kind::Cancelled | Kind::Expired | Kind::Expiring => true,
        Kind::Items | Kind::Enrolled | Kind::Refused(_) => false,
    }
}

fn reserves(variant: &Variant) -> bool {
    matches!(variant.discount, Some("product_free" | "buy_one_get_one"))
}

/// For instance `comp_sul` and `Pizza`.
type Product = (String, String);

/// What uses took of a product.
#[derive(Debug, Default)]
struct Taken {
    halves: i64,
    /// Whether an accepted use took some of it, so that all its effects have happened.
    for_sure: bool,
}

impl Judge<'_> {
    /// Whether the row is a coupon's own. The row exists if the inventory processed an event of the
    /// coupon.
    pub(super) fn is_reservation(&self, key: &str) -> bool {
        let Some(coupon) = key.strip_suffix("/reservation") else {
            return false;
        };
        let of_coupon = self.story.events.iter();
        let mut of_coupon = of_coupon.filter(|it| coupon_of(it) == coupon);
        of_coupon.any(|event| self.is_worked_off(event))
    }

    fn is_worked_off(&self, event: &Event) -> bool {
        let record = self.rows.get(&format!("{}/inventory", event.key));
        record.is_some_and(|record| record["status"] == "done")
    }

    pub(super) async fn stock(&mut self, world: &World) -> anyhow::Result<()> {
        let taken = self.taken();
        self.on_hand(world, &taken).await?;
        self.reserved(world).await?;
        self.stock_alerts(world, &taken).await
    }

    /// What the recorded and processed uses took.
    fn taken(&mut self) -> BTreeMap<Product, Taken> {
        let mut taken: BTreeMap<Product, Taken> = BTreeMap::new();
        for (index, event) in self.story.events.iter().enumerate() {
            if event.kind != Kind::Used || !self.is_worked_off(event) {
                continue;
            }
            let Some(variant) = self.variant(event) else {
                continue;
            };
            let (discount, is_certain) = self.discount_of(event, variant);
            for line in &variant.items {
                let leaves = match discount {
                    Some("product_free") => line.is_free,
                    Some("buy_one_get_one") => true,
                    _ => false,
                };
                if leaves {
                    let product = (company_of(event).to_owned(), line.product.to_owned());
                    let of_product = taken.entry(product).or_default();
                    of_product.halves += line.halves;
                    of_product.for_sure |= is_certain && self.is_accepted(index);
                }
            }
        }
        taken
    }

    /// The type of discount that decides what a use takes: its own, or else its redemption's,
    /// whichever arrives first. The second value says whether this is certain.
    fn discount_of(&mut self, event: &Event, variant: &Variant) -> (Option<&'static str>, bool) {
        if variant.discount.is_some() || variant.items.is_empty() {
            return (variant.discount, true);
        }
        let events = self.story.events.iter().enumerate();
        let mut redemptions =
            events.filter(|(_, it)| it.kind == Kind::Redeemed && coupon_of(it) == coupon_of(event));
        let Some((index, redemption)) = redemptions.next() else {
            return (None, true);
        };
        let Some(recorded) = self.variant(redemption) else {
            return (None, true);
        };
        let record = &self.rows[&format!("{}/inventory", event.key)];
        let waits = !record["awaits"].is_null();
        let must_know = self.is_accepted(index) && reserves(recorded);
        self.expect(!waits || !must_know, || {
            format!("{} still waits for its redemption", event.key)
        });
        match waits {
            true => (None, true),
            false => (recorded.discount, self.is_accepted(index)),
        }
    }

    async fn on_hand(
        &mut self,
        world: &World,
        taken: &BTreeMap<Product, Taken>,
    ) -> anyhow::Result<()> {
        let rows = world.items("stock").await?;
        let mut expected = self.had(true);
        for (product, taken) in taken {
            *expected.entry(product.clone()).or_default() -= taken.halves;
        }
        let mut found: BTreeMap<Product, i64> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row["on_hand"].is_null()) {
            let (product, halves) = read(row);
            found.insert(product, halves);
        }
        // A product with a reservation alone counts too.
        found.retain(|product, halves| *halves != 0 || expected.contains_key(product));
        expected.retain(|product, halves| *halves != 0 || found.contains_key(product));
        self.expect(found == expected, || {
            format!("the stock in halves is {found:?}, it should be {expected:?}")
        });
        Ok(())
    }

    /// The stock at the beginning plus the deliveries.
    fn had(&self, with_deliveries: bool) -> BTreeMap<Product, i64> {
        let deliveries = self.story.deliveries.iter().map(|(_, it)| it);
        let deliveries = deliveries.filter(|_| with_deliveries);
        let mut had: BTreeMap<Product, i64> = BTreeMap::new();
        for stocked in self.story.stock.iter().chain(deliveries) {
            let product = (stocked.company.to_owned(), stocked.product.to_owned());
            *had.entry(product).or_default() += stocked.halves;
        }
        had
    }

    /// The reservations must be those of redeemed coupons that have not ended or expired.
    async fn reserved(&mut self, world: &World) -> anyhow::Result<()> {
        let now = world.now();
        let mut expected: BTreeMap<Product, i64> = BTreeMap::new();
        let coupons: BTreeSet<_> = self.story.events.iter().map(coupon_of).collect();
        for coupon in coupons {
            if let Some(product) = self.reserved_by(coupon, now) {
                *expected.entry(product).or_default() += 1;
            }
        }
        let rewards = ["Pizza Grátis", "Pizza Doce", "Pizza", "Suco"];
        for (company, _) in COMPANIES {
            for product in rewards {
                let open = open_reservations(world, company, product, now).await?;
                let product = (company.to_owned(), product.to_owned());
                let expected = expected.remove(&product).unwrap_or_default();
                self.expect(open == expected, || {
                    format!("{open} of {product:?} are reserved, it should be {expected}")
                });
            }
        }
        self.expect(expected.is_empty(), || {
            format!("reservations are missing: {expected:?}")
        });
        Ok(())
    }

    fn reserved_by(&self, coupon: &str, now: Timestamp) -> Option<Product> {
        let events = self.story.events.iter();
        let of_coupon =
            events.filter(|event| coupon_of(event) == coupon && self.is_worked_off(event));
        let of_coupon: Vec<_> = of_coupon.collect();
        let redemption = of_coupon.iter().find(|it| it.kind == Kind::Redeemed)?;
        let variant = self.variant(redemption)?;
        let ends = |it: &&&Event| matches!(it.kind, Kind::Used | Kind::Cancelled | Kind::Expired);
        if !reserves(variant) || of_coupon.iter().any(|it| ends(&it)) {
            return None;
        }
        let (company, reward) = (company_of(redemption), variant.reward.clone()?);
        let (of_company, mapped, product) = CATALOGUE;
        let product = match (company, reward.as_str()) == (of_company, mapped) {
            true => product.to_owned(),
            false => reward,
        };
        (self.expires_at(&of_coupon)? > now).then(|| (company.to_owned(), product))
    }

    /// The latest expiry date by the provider's clock, because a notice may move it.
    fn expires_at(&self, of_coupon: &[&Event]) -> Option<Timestamp> {
        let stated = of_coupon.iter().filter_map(|event| {
            let variant = self.variant(event)?;
            let is_notice = event.kind == Kind::Expiring;
            let says = is_notice || event.kind == Kind::Redeemed;
            says.then_some((variant.at, is_notice, variant.expires_at?))
        });
        stated.max().map(|(.., expires_at)| expires_at)
    }

    /// Each product must have one alert when it is low, and one more below zero. Further alerts
    /// need a delivery, or a sender in doubt.
    async fn stock_alerts(
        &mut self,
        world: &World,
        taken: &BTreeMap<Product, Taken>,
    ) -> anyhow::Result<()> {
        let mut sent: BTreeMap<(Product, String), usize> = BTreeMap::new();
        for alert in world.sent() {
            let Detail::Topic(alert) = alert.detail else {
                continue;
            };
            let kind = alert.attributes.get("type").map(String::as_str);
            if matches!(kind, Some("fraud" | "survey")) {
                continue;
            }
            let attribute = |name: &str| alert.attributes.get(name).cloned().unwrap_or_default();
            let product = product_of(&attribute("product")).to_owned();
            let product = (attribute("tenant"), product);
            *sent.entry((product, attribute("type"))).or_default() += 1;
        }
        let (had, has) = (self.had(false), self.had(true));
        let rows = world.items("stock").await?;
        let counted = rows.iter().filter(|row| !row["counted"].is_null());
        let counted: BTreeSet<_> = counted.map(|row| read(row).0).collect();
        for (product, taken) in taken {
            let threshold = 2 * self.threshold(product);
            let count = |kind: &str| {
                let of_kind = sent.get(&(product.clone(), kind.to_owned()));
                of_kind.copied().unwrap_or_default()
            };
            let (low, below) = (count("low_stock"), count("stock_below_zero"));
            let at_least = had.get(product).copied().unwrap_or_default() - taken.halves;
            let in_the_end = has.get(product).copied().unwrap_or_default() - taken.halves;
            let stated =
                || format!("{low} and {below} alerts of {product:?}, whose stock is {in_the_end}");
            // A product that nobody counted causes no alert. A delivery counts if no use came
            // before.
            let mut set = self.story.stock.iter();
            let is_set = set.any(|set| (set.company, set.product) == names(product));
            let is_counted = counted.contains(product);
            self.expect(is_counted || low + below == 0, stated);
            self.expect(at_least <= threshold || low + below == 0, stated);
            self.expect(at_least < 0 || below == 0, stated);
            self.expect(
                !taken.for_sure || !is_set || in_the_end > threshold || low + below > 0,
                stated,
            );
            self.expect(
                !taken.for_sure || !is_set || in_the_end >= 0 || below > 0,
                stated,
            );
            let deliveries = self.story.deliveries.iter();
            let deliveries =
                deliveries.filter(|(_, it)| (it.company, it.product) == names(product));
            let deliveries = deliveries.count();
            for (kind, sent) in [("low_stock", low), ("stock_below_zero", below)] {
                let (company, product) = names(product);
                let explained = self.explained_alerts(&Alert {
                    kind,
                    company,
                    product,
                });
                self.expect(sent <= 1 + deliveries + explained, || {
                    format!(
                        "{sent} times {kind} of {product}, of which {explained} had a reason to \
                         be repeated"
                    )
                });
            }
        }
        sent.retain(|(product, _), _| !taken.contains_key(product));
        self.expect(sent.is_empty(), || {
            format!("alerts without a cause: {sent:?}")
        });
        Ok(())
    }

    fn threshold(&self, product: &Product) -> i64 {
        let mut stock = self.story.stock.iter();
        let own = stock.find(|set| (set.company, set.product) == names(product));
        own.and_then(|it| it.threshold).unwrap_or(THRESHOLD)
    }
}

fn names(product: &Product) -> (&str, &str) {
    (&product.0, &product.1)
}

fn coupon_of(event: &Event) -> &str {
    event.key.split('/').next().unwrap_or_default()
}

fn company_of(event: &Event) -> &str {
    event.key.split('#').nth(1).unwrap_or_default()
}

fn read(row: &Value) -> (Product, i64) {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let company = text("tenant").replace("zupy#", "");
    let halves = row["on_hand"].as_f64().unwrap_or(f64::NAN) * 2.0;
    (
        (company, product_of(&text("product")).to_owned()),
        halves as i64,
    )
}

/// The reservations in the index.
async fn open_reservations(
    world: &World,
    company: &str,
    product: &str,
    now: Timestamp,
) -> anyhow::Result<i64> {
    let now = now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let query = json!({
        "TableName": "events",
        "IndexName": "reservations",
        "KeyConditionExpression": "reserves = :product AND reserved_until > :now",
        "ExpressionAttributeValues": {
            ":product": {"S": format!("zupy#{company}#{}", product.to_lowercase())},
            ":now": {"S": now},
        },
    });
    let found = world.ask("Query", query).await?;
    let items = found["Items"].as_array().into_iter().flatten();
    let quantities = items.filter_map(|it| it["quantity"]["N"].as_str()?.parse::<i64>().ok());
    Ok(quantities.sum())
}
