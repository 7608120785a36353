//! A function claims a message before it sends one, and settles the claim afterwards: this module
//! says when a second message is correct.

use serde_json::Value;

use super::Judge;
use crate::history::{Call, Moment, Process};
use crate::story::product_of;

/// An alert of the stock.
#[derive(Debug)]
pub(super) struct Alert<'a> {
    /// `low_stock` or `stock_below_zero`.
    pub(super) kind: &'a str,
    pub(super) company: &'a str,
    pub(super) product: &'a str,
}

impl Judge<'_> {
    /// How many messages about an event left their sender in doubt: it died, or got no answer, or
    /// could not record the answer.
    pub(super) fn explained(&self, about: &str, record: &str) -> usize {
        let channel = match record.contains("/fraud/alert/") {
            true => "alert",
            false => record.rsplit('/').next().unwrap_or_default(),
        };
        self.explained_on(about, record, channel)
    }

    /// The same, for a record with another name than the channel's.
    pub(super) fn explained_on(&self, about: &str, record: &str, channel: &str) -> usize {
        let moments: Vec<_> = self.moments.iter().map(|(_, moment)| moment).collect();
        let is_explained = |(index, moment): (usize, &&Moment)| {
            let (process, heard) = message_of(moment, about, channel)?;
            let before = moments[..index].iter().rev();
            let owner = before
                .filter_map(|it| claim_of(it, record, process))
                .next()?;
            let after = &moments[index + 1..];
            // The moments until the next message.
            let next = after
                .iter()
                .position(|it| message_of(it, about, channel).is_some());
            let mut until_next = after[..next.unwrap_or(after.len())].iter();
            let recorded = until_next
                .clone()
                .any(|it| settled(it, record, owner) == Some(true));
            let died =
                until_next.any(|it| matches!(it, Moment::Killed(killed) if killed == process));
            // The sender tried to settle, but without success or too late.
            let tried = after.iter().any(|it| settled(it, record, owner).is_some());
            Some(!recorded && (!heard || died || tried))
        };
        let explained = moments.iter().enumerate().filter_map(is_explained);
        explained.filter(|explained| *explained).count()
    }

    /// How many alerts left their sender in doubt: it died, or got no answer, or could not record
    /// the answer.
    pub(super) fn explained_alerts(&self, alert: &Alert<'_>) -> usize {
        let mut explained = 0;
        let mut moments = self.moments.iter().map(|(_, moment)| moment);
        while let Some(moment) = moments.next() {
            let Some((process, heard)) = alert.sent_by(moment) else {
                continue;
            };
            // The moments until the next alert.
            let rest = moments.clone().take_while(|it| alert.sent_by(it).is_none());
            let mut recorded = rest.clone().filter(|it| alert.settles(it, process));
            let died = |it: &Moment| matches!(it, Moment::Killed(killed) if killed == process);
            let mut in_doubt =
                rest.filter(|moment| died(moment) || alert.fails_to_settle(moment, process));
            explained +=
                usize::from(recorded.next().is_none() && (!heard || in_doubt.next().is_some()));
        }
        explained
    }
}

impl Alert<'_> {
    /// The process that sent the alert, and whether the process got the answer.
    fn sent_by<'m>(&self, moment: &'m Moment) -> Option<(&'m Process, bool)> {
        match moment {
            Moment::Performed {
                call,
                status,
                heard,
            } => {
                let taken = status.is_none_or(|status| status.is_success());
                (taken && self.is_sent_with(call)).then_some((&call.process, *heard))
            }
            _ => None,
        }
    }

    fn is_sent_with(&self, call: &Call) -> bool {
        let attribute = |name: &str| {
            let attributes = &call.body["MessageAttributes"];
            attributes[name]["StringValue"].as_str()
        };
        call.operation == "Publish"
            && attribute("type") == Some(self.kind)
            && attribute("tenant") == Some(self.company)
            && attribute("product").map(product_of) == Some(self.product)
    }

    /// Whether the process recorded the alert as sent.
    fn settles(&self, moment: &Moment, by: &Process) -> bool {
        match moment {
            Moment::Performed { call, status, .. } => {
                call.process == *by
                    && self.is_update_of_its_record(&call.body)
                    && says_alerted(&call.body)
                    && status.is_some_and(|status| status.is_success())
            }
            _ => false,
        }
    }

    /// Whether the process tried to record the alert, but failed.
    fn fails_to_settle(&self, moment: &Moment, by: &Process) -> bool {
        match moment {
            Moment::Performed {
                call,
                status,
                heard,
            } => {
                call.process == *by
                    && self.is_update_of_its_record(&call.body)
                    && (!heard || !status.is_some_and(|status| status.is_success()))
            }
            _ => false,
        }
    }

    fn is_update_of_its_record(&self, body: &Value) -> bool {
        let is = |name: &str, value: &str| body["Key"][name]["S"] == value;
        is("tenant", &format!("zupy#{}", self.company))
            && is("entry", &format!("product#{}", self.product.to_lowercase()))
    }
}

fn says_alerted(body: &Value) -> bool {
    let update = body["UpdateExpression"].as_str().unwrap_or_default();
    update.starts_with("SET alerted")
}

/// The process that sent a message about an event, and whether the process got the answer.
fn message_of<'a>(moment: &'a Moment, about: &str, channel: &str) -> Option<(&'a Process, bool)> {
    match moment {
        Moment::Performed {
            call,
            status,
            heard,
        } => {
            let taken = status.is_none_or(|status| status.is_success());
            let path = match channel {
                "email" => "outbound-emails",
                "whatsapp" => "whatsapp",
                "forward" => "game-server",
                "sms" => "",
                "alert" => {
                    let is_alert = call.operation == "Publish" && is_about_fraud(&call.body);
                    let is_taken = taken && call.about.as_deref() == Some(about);
                    return (is_alert && is_taken).then_some((&call.process, *heard));
                }
                _ => {
                    return (taken && call.about.as_deref() == Some(about))
                        .then_some((&call.process, *heard));
                }
            };
            let is_sms = channel == "sms"
                && call.operation == "Publish"
                && !call.body["PhoneNumber"].is_null();
            let is_of_channel = is_sms || (!path.is_empty() && call.operation.contains(path));
            let is_message = taken && is_of_channel && call.about.as_deref() == Some(about);
            is_message.then_some((&call.process, *heard))
        }
        _ => None,
    }
}

fn is_about_fraud(body: &Value) -> bool {
    body["MessageAttributes"]["type"]["StringValue"] == "fraud"
}

fn is_update_of(body: &Value, record: &str) -> bool {
    let text = |name: &str| body["Key"][name]["S"].as_str().unwrap_or_default();
    format!("{}/{}", text("coupon"), text("entry")) == record
}

/// The owner for whom a process claimed a record.
fn claim_of<'a>(moment: &'a Moment, record: &str, by: &Process) -> Option<&'a str> {
    match moment {
        Moment::Performed { call, .. }
            if call.process == *by && is_update_of(&call.body, record) =>
        {
            let values = &call.body["ExpressionAttributeValues"];
            let owner = values[":owner"]["S"].as_str();
            owner.filter(|_| !values[":until"].is_null())
        }
        _ => None,
    }
}

/// Whether an owner settled a record successfully; `None` if this is no attempt to settle.
fn settled(moment: &Moment, record: &str, owner: &str) -> Option<bool> {
    let Moment::Performed { call, status, .. } = moment else {
        return None;
    };
    // The counters share a transaction with the record.
    let items = call.body["TransactItems"].as_array();
    let in_transaction = items.into_iter().flatten().map(|item| &item["Update"]);
    let mut updates = in_transaction.chain([&call.body]);
    let update = updates.find(|update| is_update_of(update, record))?;
    let values = &update["ExpressionAttributeValues"];
    let is_word = values[":until"].is_null() && values[":owner"]["S"] == owner;
    let taken = status.is_none_or(|status| status.is_success());
    is_word.then(|| taken && values[":status"]["S"] == "done")
}
