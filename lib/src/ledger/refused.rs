//! Refused bodies: verified bodies in which no event could be read. A refused body is kept as long
//! as an event, because some providers never send such a body again. Once the cause is mended, the
//! body can be taken as an event.

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Ledger, body};
use crate::event::EventKey;
use crate::per_tenant::Zones;
use crate::problem::Problem;
use crate::provider::{self, Content};
use crate::record::REFUSED;
use crate::row::{Item, Row, number, read_text, text};
use crate::verify::Verified;

/// The longest member's id that is copied to the row of a refused body.
const MEMBER_MAX_BYTES: usize = 500;

/// A body that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The key of the row: `refused#<provider>`, and a hash of the body.
    pub key: EventKey,
    /// The name of the provider that sent the body.
    pub provider: String,
    /// The scheme of the signature, which also names the body's format.
    pub scheme: String,
    /// The tenant that the secret names, if the secret names one.
    pub tenant: Option<String>,
    /// When the body was received first.
    pub received_at: Timestamp,
    /// The problems at the time of the refusal.
    pub problems: Vec<Problem>,
    /// When the body was taken as an event later, and the event's key.
    pub taken: Option<(Timestamp, String)>,
    /// When the body was erased because a member in it asked to be forgotten.
    pub erased_at: Option<Timestamp>,
    /// When the row counts as forgotten; `None` if the row names no such time.
    pub forget_at: Option<Timestamp>,
    /// Empty if the body cannot be read any more.
    pub body: Vec<u8>,
}

impl Refused {
    /// `None` if the row is no refused body's. The row's body must be [whole](Ledger::whole).
    pub fn of(row: &Item) -> Option<Self> {
        let (coupon, entry) = (read_text(row, "coupon")?, read_text(row, "entry")?);
        let provider = coupon.strip_prefix(REFUSED)?;
        let time = |name: &str| read_text(row, name)?.parse::<Timestamp>().ok();
        let problems = read_text(row, "problems").map(|it| serde_json::from_str(it));
        let forget_at = row.get("ttl").and_then(|it| it.as_n().ok()?.parse().ok());
        Some(Self {
            key: EventKey::recorded(coupon, entry),
            provider: provider.to_owned(),
            scheme: read_text(row, "scheme").cloned().unwrap_or_default(),
            tenant: read_text(row, "tenant").cloned(),
            received_at: time("received_at")?,
            problems: problems.and_then(Result::ok).unwrap_or_default(),
            taken: time("taken_at").zip(read_text(row, "taken_as").cloned()),
            erased_at: time("erased_at"),
            forget_at: forget_at.and_then(|at| Timestamp::from_second(at).ok()),
            body: body::read(row).unwrap_or_default(),
        })
    }

    /// The body, as it was verified when it was received.
    pub fn verified(&self) -> Verified<'_> {
        Verified::recorded(&self.body, &self.scheme, self.tenant.as_deref())
    }

    /// What today's code reads in the body. `None` if there is no module for the provider.
    pub fn read(&self, zones: &Zones) -> Option<Content> {
        provider::read_verified(&self.provider, &self.verified().in_zones(zones))
    }

    /// Whether the body names a member: in a field with this value, or anywhere if the body is no
    /// JSON.
    pub fn names(&self, member_id: &str) -> bool {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => has_value(&body, member_id),
            Err(_) => {
                let id = member_id.as_bytes();
                !id.is_empty() && self.body.windows(id.len()).any(|it| it == id)
            }
        }
    }
}

/// The names of fields that hold a tenant's id.
const TENANT_FIELDS: [&str; 2] = ["company_id", "game_id"];

impl Refused {
    /// The tenant that the secret names, or else the one that the body names, if the body can be
    /// read.
    pub fn tenant_named(&self) -> Option<String> {
        let of_body = || {
            let body: Value = serde_json::from_slice(&self.body).ok()?;
            let named = TENANT_FIELDS
                .iter()
                .find_map(|field| body.get(field)?.as_str());
            named.map(|tenant| tenant.trim().to_owned())
        };
        self.tenant.clone().or_else(of_body)
    }
}

/// The names of fields that hold a member's id.
const MEMBER_FIELDS: [&str; 3] = ["member_id", "customer_id", "player_id"];

fn has_value(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text.trim() == id,
        Value::Array(values) => values.iter().any(|it| has_value(it, id)),
        Value::Object(fields) => fields.iter().any(|(name, value)| match value {
            Value::Number(number) => {
                MEMBER_FIELDS.contains(&name.as_str()) && number.to_string() == id
            }
            value => name == id || has_value(value, id),
        }),
        _ => false,
    }
}

/// The member that a body names in one of its provider's fields, if the body can be read.
fn member_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let sections = ["customer", "data", "event_data"];
    let fields = sections
        .iter()
        .flat_map(|section| MEMBER_FIELDS.map(|field| body.get(section)?.get(field)));
    let mut fields = fields.flatten();
    let id = match fields.next()? {
        Value::String(id) => id.trim().to_owned(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    (!id.is_empty() && id.len() <= MEMBER_MAX_BYTES).then_some(id)
}

impl Ledger {
    /// Keeps a verified body in which no event was read. The same bytes a second time change
    /// nothing.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn keep_refused(
        &self,
        provider: &str,
        refused: &Verified<'_>,
        problems: &[Problem],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let digest = Sha256::new()
            .chain_update(refused.scheme())
            .chain_update([0])
            .chain_update(refused.tenant().unwrap_or_default())
            .chain_update([0])
            .chain_update(refused.body());
        let entry = hex::encode(&digest.finalize()[..16]);
        let key = EventKey::recorded(&format!("{REFUSED}{provider}"), &entry);
        let forget_at = now.checked_add(self.retention).unwrap_or(Timestamp::MAX);
        let mut row = Row::default();
        row.set("coupon", Some(key.coupon()));
        row.set("entry", Some(key.entry()));
        row.set("scheme", Some(refused.scheme()));
        row.set("tenant", refused.tenant());
        row.set("member", member_of(refused.body()));
        row.set("received_at", Some(now));
        row.json("problems", Some(problems));
        row.0.insert("ttl".into(), number(forget_at.as_second()));
        let kept = self.put(row.0, refused.body(), now).await;
        kept.context("keeping the refused body")?;
        Ok(())
    }

    /// Marks a refused body as taken as an event. The body stays until its `ttl`, and is not taken
    /// again.
    ///
    /// # Errors
    /// DynamoDB does not answer, or refuses.
    pub async fn mark_taken(
        &self,
        refused: &EventKey,
        event: &EventKey,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("coupon", text(refused.coupon()))
            .key("entry", text(refused.entry()))
            .update_expression("SET taken_as = :event, taken_at = :now")
            .condition_expression("attribute_exists(entry)")
            .expression_attribute_values(":event", text(event.to_string()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .send()
            .await
            .with_context(|| format!("marking {refused} as taken"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Refused {
        Refused {
            key: EventKey::recorded("refused#zupy", "0123"),
            provider: "zupy".into(),
            scheme: "zupy-v1".into(),
            tenant: None,
            received_at: Timestamp::UNIX_EPOCH,
            problems: Vec::new(),
            taken: None,
            erased_at: None,
            forget_at: None,
            body: body.into(),
        }
    }

    #[test]
    fn a_member_in_any_field_of_a_refused_body_is_recognised() {
        let check = |body: &str, id: &str, expected: bool| {
            assert_eq!(refused(body).names(id), expected, "{body} {id}");
        };
        check(r#"{"customer":{"member_id":" ZP-1 "}}"#, "ZP-1", true);
        check(r#"{"customer":[{"id":"ZP-1"}]}"#, "ZP-1", true);
        check(r#"{"customer":{"member_id":7}}"#, "7", true);
        check(r#"{"usage":{"quantity":7}}"#, "7", false);
        check(r#"{"customer":{"member_id":"ZP-11"}}"#, "ZP-1", false);
        check(r#"{"customer":{"member_id":"ZP-1"},"#, "ZP-1", true);
        check("", "ZP-1", false);
    }

    #[test]
    fn the_member_is_read_from_the_providers_field() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(member_of(body.as_bytes()).as_deref(), expected, "{body}");
        };
        check(r#"{"customer":{"member_id":"ZP-1"}}"#, Some("ZP-1"));
        check(r#"{"data":{"customer_id":7}}"#, Some("7"));
        check(r#"{"event_data":{"player_id":"p"}}"#, Some("p"));
        check(r#"{"customer":{"member_id":{}}}"#, None);
        check(r#"{"customer":"ZP-1"}"#, None);
        check("[]", None);
        check("{", None);
    }
}
