//! The row of a member that keeps surveys apart in time: it holds when the member was asked last,
//! and when the member answered last.

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, member_key};
use crate::figures::survey::Unsent;
use crate::ledger::{Change, Item, ItemKey};

/// The sort key of the row, in the member's partition.
const THROTTLE: &str = "surveys";

/// The longest pause that a parameter can ask for, in days.
pub const PAUSE_MAX_DAYS: i64 = 365;

/// How long the row is kept: longer than any pause.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * (PAUSE_MAX_DAYS + 1));

/// The pauses before another survey is sent.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the member answered a survey.
    pub answered: SignedDuration,
    /// After the member got a survey and did not answer.
    pub ignored: SignedDuration,
}

/// The key of this row of the event's member.
fn throttle_key(members_table: &str, event: &Event) -> ItemKey {
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    ItemKey::new(members_table, ("member", member), ("entry", THROTTLE))
}

/// The change that records when the member of a use answered its survey.
pub fn answered(members_table: &str, event: &Event, at: Timestamp) -> Change {
    Change::of(throttle_key(members_table, event))
        .set("answered_at", text(moment(at)))
        .set("ttl", kept_until(at))
}

/// Claims the right to ask the member of a use. The claim is refused, with the reason, if another
/// survey was sent or answered within the pauses. A repeated claim for the same use is granted. If
/// two surveys claim at the same time, one is granted.
///
/// # Errors
///
/// DynamoDB does not answer, or refuses for another reason.
pub async fn claim_asking(
    client: &Client,
    members_table: &str,
    event: &Event,
    pauses: Pauses,
    now: Timestamp,
) -> anyhow::Result<Result<(), Unsent>> {
    let ago = |pause| moment(now.checked_sub(pause).unwrap_or(Timestamp::MIN));
    let claimed = client
        .update_item()
        .table_name(members_table)
        .set_key(Some(throttle_key(members_table, event).attributes()))
        .update_expression("SET asked_at = :now, asked_for = :event, #ttl = :ttl")
        .condition_expression(
            "asked_for = :event OR \
             ((attribute_not_exists(asked_at) OR asked_at <= :ignored) AND \
             (attribute_not_exists(answered_at) OR answered_at <= :answered))",
        )
        .expression_attribute_names("#ttl", "ttl")
        .expression_attribute_values(":now", text(moment(now)))
        .expression_attribute_values(":event", text(event.key.to_string()))
        .expression_attribute_values(":ignored", text(ago(pauses.ignored)))
        .expression_attribute_values(":answered", text(ago(pauses.answered)))
        .expression_attribute_values(":ttl", kept_until(now))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    let Err(error) = claimed else {
        return Ok(Ok(()));
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
            let row = refusal.item();
            let answered = row.and_then(|row| read(row, "answered_at"));
            let is_recent = answered.is_some_and(|at| at > ago(pauses.answered));
            Ok(Err(match is_recent {
                true => Unsent::AnsweredRecently,
                false => Unsent::AskedRecently,
            }))
        }
        _ => Err(anyhow!(error)).context("claiming to ask a member"),
    }
}

/// Releases the claim of a use after nothing was sent. A claim of another use stays.
///
/// # Errors
///
/// DynamoDB does not answer, or refuses for another reason.
pub async fn give_back(client: &Client, members_table: &str, event: &Event) -> anyhow::Result<()> {
    let given_back = client
        .update_item()
        .table_name(members_table)
        .set_key(Some(throttle_key(members_table, event).attributes()))
        .update_expression("REMOVE asked_at, asked_for")
        .condition_expression("asked_for = :event")
        .expression_attribute_values(":event", text(event.key.to_string()))
        .send()
        .await;
    match given_back {
        Err(error)
            if !error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Err(anyhow!(error)).context("giving back the claim to ask a member")
        }
        _ => Ok(()),
    }
}

/// A time as text that sorts as times do.
fn moment(at: Timestamp) -> String {
    format!("{at:.9}")
}

fn kept_until(at: Timestamp) -> AttributeValue {
    let until = at.checked_add(KEPT).unwrap_or(Timestamp::MAX);
    AttributeValue::N(until.as_second().to_string())
}

fn text(text: String) -> AttributeValue {
    AttributeValue::S(text)
}

fn read(row: &Item, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_texts_do() {
        let at = |text: &str| moment(text.parse().unwrap());
        assert_eq!(at("2026-11-25T12:00:00Z"), "2026-11-25T12:00:00.000000000Z");
        assert!(at("2026-11-25T12:00:00Z") < at("2026-11-25T12:00:00.5Z"));
        assert!(at("2026-11-25T12:00:00.5Z") < at("2026-11-25T12:00:01Z"));
    }
}
