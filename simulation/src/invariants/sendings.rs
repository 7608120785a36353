//! What goes out is claimed before and settled after it: when may it go out once more?

use serde_json::Value;

use super::Judge;
use crate::history::{Call, Moment, Process};

/// What goes out once.
#[derive(Debug)]
pub(super) enum Sending<'a> {
    Mail {
        event: &'a str,
    },
    Alert {
        /// `low_stock`, `stock_below_zero`.
        kind: &'a str,
        company: &'a str,
        product: &'a str,
    },
}

impl Judge<'_> {
    /// How many of these left their sender in doubt: it died, or did not hear that it was taken, or could not record it.
    pub(super) fn explained(&self, sending: &Sending<'_>) -> usize {
        let mut explained = 0;
        let mut moments = self.moments.iter().map(|(_, moment)| moment);
        while let Some(moment) = moments.next() {
            let Some((process, heard)) = sending.sent_by(moment) else {
                continue;
            };
            // Until the next one is sent.
            let rest = moments
                .clone()
                .take_while(|it| sending.sent_by(it).is_none());
            let mut recorded = rest.clone().filter(|it| sending.settles(it, process));
            let died = |it: &Moment| matches!(it, Moment::Killed(killed) if killed == process);
            let mut in_doubt = rest.filter(|it| died(it) || sending.fails_to_settle(it, process));
            explained +=
                usize::from(recorded.next().is_none() && (!heard || in_doubt.next().is_some()));
        }
        explained
    }
}

impl Sending<'_> {
    /// The process that sent it, and whether that heard that it was taken.
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
        match self {
            Self::Mail { event } => {
                call.operation.contains("outbound-emails") && header(&call.body) == Some(event)
            }
            Self::Alert {
                kind,
                company,
                product,
            } => {
                let attribute = |name: &str| {
                    let attributes = &call.body["MessageAttributes"];
                    attributes[name]["StringValue"].as_str()
                };
                call.operation == "Publish"
                    && attribute("type") == Some(kind)
                    && attribute("tenant") == Some(company)
                    && attribute("product") == Some(product)
            }
        }
    }

    /// The process recorded that it was sent.
    fn settles(&self, moment: &Moment, by: &Process) -> bool {
        match moment {
            Moment::Performed { call, status, .. } => {
                call.process == *by
                    && self.is_update_of_its_record(&call.body)
                    && self.says_done(&call.body)
                    && status.is_some_and(|status| status.is_success())
            }
            _ => false,
        }
    }

    /// The process tried to say something of it, and could not.
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
        match self {
            Self::Mail { event } => {
                let (coupon, entry) = event.split_once('/').unwrap_or_default();
                is("coupon", coupon) && is("entry", &format!("{entry}/delivery/email"))
            }
            Self::Alert {
                company, product, ..
            } => {
                is("tenant", &format!("zupy#{company}"))
                    && is("entry", &format!("product#{product}"))
            }
        }
    }

    fn says_done(&self, body: &Value) -> bool {
        match self {
            Self::Mail { .. } => body["ExpressionAttributeValues"][":status"]["S"] == "done",
            Self::Alert { .. } => {
                let update = body["UpdateExpression"].as_str().unwrap_or_default();
                update.starts_with("SET alerted")
            }
        }
    }
}

fn header(mail: &Value) -> Option<&str> {
    let headers = mail["Content"]["Simple"]["Headers"].as_array()?;
    let event = headers.iter().find(|it| it["Name"] == "X-Event-Key")?;
    event["Value"].as_str()
}
