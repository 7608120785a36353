//! What must hold of the figures: the counters of each company and game match the events, once
//! each.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Judge;
use crate::story::{Event, Kind};
use crate::world::World;

/// A sum over all days and groups, by tenant, section and field.
type Sums = BTreeMap<(String, &'static str, char), i64>;

/// The compared sections, and the fields of each.
const COMPARED: [(&str, &str); 4] = [
    ("redemption", "cr"),
    ("use", "cd"),
    ("cohort", "uxe"),
    ("time_to_use", "c"),
];

/// Whether analytics gets an event of this kind.
pub(super) fn counts(kind: Kind) -> bool {
    !matches!(kind, Kind::Expiring | Kind::Enrolled | Kind::Refused(_))
}

impl Judge<'_> {
    pub(super) async fn figures(&mut self, world: &World) -> anyhow::Result<()> {
        let rows = world.items("figures").await?;
        self.findings(&rows);
        self.surveys(&rows);
        let counted = counted(&rows);
        let expected = self.expected_sums();
        let keys = counted.keys().chain(expected.keys());
        let keys: std::collections::BTreeSet<_> = keys.cloned().collect();
        for key in keys {
            let of = |sums: &Sums| sums.get(&key).copied().unwrap_or_default();
            let (counted, expected) = (of(&counted), of(&expected));
            self.expect(counted == expected, || {
                let (tenant, section, field) = &key;
                format!("{section} {field} of {tenant} is {counted}, but should be {expected}")
            });
        }
        Ok(())
    }

    /// The counters and lists of findings and alerts agree with the records.
    fn findings(&mut self, figures: &[Value]) {
        let mut expected: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut listed_expected: BTreeMap<String, Value> = BTreeMap::new();
        let tenant_of = |key: &str| key.split('#').take(2).collect::<Vec<_>>().join("#");
        for (key, row) in self.rows.iter() {
            let found = row["findings"].as_str();
            if let Some(event) = key.strip_suffix("/fraud").filter(|it| it.contains('/'))
                && let Some(found) = found
            {
                let found: Value = serde_json::from_str(found).unwrap_or_default();
                for finding in found.as_array().into_iter().flatten() {
                    let rule = finding["rule"].as_str().unwrap_or_default();
                    let counter = format!("_{rule}c");
                    *expected.entry((tenant_of(key), counter)).or_default() += 1;
                    listed_expected.insert(event.to_owned(), row["findings"].clone());
                }
            }
            if key.contains("/inventory/alert/") {
                let counter = (tenant_of(key), "_c".to_owned());
                *expected.entry(counter).or_default() += 1;
            }
        }
        let (mut counted, mut listed) = (BTreeMap::new(), BTreeMap::new());
        for row in figures {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            let (part, entry) = (text("part"), text("entry"));
            if part.ends_with("#findings") {
                if row["findings"] != "[]" {
                    listed.insert(text("event").to_owned(), row["findings"].clone());
                }
                continue;
            }
            let item = without_shard(entry);
            if !(item.ends_with("#findings") || item.ends_with("#low_stock")) {
                continue;
            }
            for (counter, value) in row.as_object().into_iter().flatten() {
                if counter.starts_with('_') {
                    let sum = counted.entry((tenant_of(part), counter.clone()));
                    *sum.or_insert(0) += value.as_i64().unwrap_or_default();
                }
            }
        }
        counted.retain(|_, sum| *sum != 0);
        self.expect(counted == expected, || {
            format!("findings and alerts are counted as {counted:?}, and should be {expected:?}")
        });
        self.expect(listed == listed_expected, || {
            format!("listed are {listed:?}, and found were {listed_expected:?}")
        });
    }

    /// Whether the row stands in place of a redemption's record and keeps the coupon's line until
    /// the redemption arrives.
    pub(super) fn is_placeholder(&self, key: &str) -> bool {
        let row = self.rows.get(key);
        key.ends_with("/redeemed/analytics") && row.is_some_and(|it| it["placeholder"] == true)
    }

    /// Whether the row is a member's line of a coupon. Each coupon with a counted event of the
    /// member has one.
    pub(super) fn is_line(&self, key: &str) -> bool {
        key.contains("/figures#")
    }

    /// The sums that the recorded and counted events must give.
    fn expected_sums(&self) -> Sums {
        let mut sums = Sums::new();
        let events: Vec<_> = self
            .story
            .events
            .iter()
            .filter(|event| !event.sandbox && counts(event.kind) && self.is_counted(event))
            .collect();
        let coupon = |event: &Event| event.key.split('/').next().unwrap_or_default().to_owned();
        let has = |of: &Event, kinds: &[Kind]| {
            let mut events = events.iter();
            events.any(|event| coupon(event) == coupon(of) && kinds.contains(&event.kind))
        };
        for event in &events {
            let tenant: Vec<_> = event.key.split('#').take(2).collect();
            let tenant = tenant.join("#");
            let mut add = |section, field, by| {
                *sums.entry((tenant.clone(), section, field)).or_default() += by;
            };
            match event.kind {
                Kind::Redeemed | Kind::Items => {
                    add("redemption", 'c', 1);
                    if has(event, &[Kind::Cancelled, Kind::Expired]) {
                        add("redemption", 'r', 1);
                    }
                    if has(event, &[Kind::Used]) {
                        add("cohort", 'u', 1);
                    } else if has(event, &[Kind::Cancelled]) {
                        add("cohort", 'x', 1);
                    } else if has(event, &[Kind::Expired]) {
                        add("cohort", 'e', 1);
                    }
                }
                Kind::Used => {
                    add("use", 'c', 1);
                    let discount = self.variant(event).and_then(|it| it.amounts[0]);
                    add("use", 'd', discount.unwrap_or_default());
                    if has(event, &[Kind::Redeemed]) {
                        add("time_to_use", 'c', 1);
                    }
                }
                _ => {}
            }
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    fn is_counted(&self, event: &Event) -> bool {
        let record = self.rows.get(&format!("{}/analytics", event.key));
        record.is_some_and(|record| record["status"] == "done")
    }
}

/// The sort key of an item of counters, without the shard that follows a `~`.
pub(super) fn without_shard(entry: &str) -> &str {
    entry.split('~').next().unwrap_or_default()
}

/// The sums in the table. Amounts are in cents.
fn counted(rows: &[Value]) -> Sums {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut names: BTreeMap<(String, String), &'static str> = BTreeMap::new();
    for row in rows {
        let part = text(row, "part");
        let Some(tenant) = part.strip_suffix("#names") else {
            continue;
        };
        let group = text(row, "group");
        let section = COMPARED
            .iter()
            .find(|(section, _)| group.starts_with(&format!("[\"{section}\"")));
        if let Some((section, _)) = section {
            names.insert((tenant.to_owned(), text(row, "entry")), section);
        }
    }
    let mut sums = Sums::new();
    for row in rows {
        let (part, entry) = (text(row, "part"), text(row, "entry"));
        let tenant: Vec<_> = part.split('#').take(2).collect();
        let tenant = tenant.join("#");
        for (attribute, value) in row.as_object().into_iter().flatten() {
            let (Some(field), Some(number)) = (attribute.chars().next_back(), value.as_f64())
            else {
                continue;
            };
            let id = &attribute[..attribute.len() - 1];
            let section = match without_shard(&entry).ends_with("#time_to_use") {
                true => Some("time_to_use"),
                false => names.get(&(tenant.clone(), id.to_owned())).copied(),
            };
            let Some(section) = section else { continue };
            let is_compared = COMPARED
                .iter()
                .any(|(it, fields)| *it == section && fields.contains(field));
            if !is_compared || attribute == "ttl" {
                continue;
            }
            let scale = if (section, field) == ("use", 'd') {
                100.0
            } else {
                1.0
            };
            let sum = sums.entry((tenant.clone(), section, field)).or_default();
            *sum += (number * scale).round() as i64;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}
