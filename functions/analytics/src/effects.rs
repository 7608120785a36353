//! The writes of counting an event, all in the transaction of the event's record.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use webhooks::event::Fact;
use webhooks::figures::line::{Awaiting, Line, Redeemed, line_key, own_line_key};
use webhooks::figures::{Counted, RECORD, Section, Tracked, count};
use webhooks::ledger::{Change, Effects, PLACEHOLDER, Row, Status};

use crate::case::Case;
use crate::setup::Analytics;

/// A counted event.
pub(crate) struct Plan {
    tracked: Tracked,
    pub(crate) counted: Counted,
    /// Events that add to the same items have neighbouring places in this order.
    pub(crate) order: String,
}

impl Plan {
    pub(crate) fn of(case: &Case<'_>) -> Option<Self> {
        let mut tracked = case.tracked.clone().filter(|_| case.counts())?;
        let is_owners = case.owner() == case.member();
        let before = &case.known.line.line;
        let counted = count(case.event, &mut tracked, case.at, before, is_owners);
        let cells = counted.tally.cells().filter_map(|(cell, _)| {
            let leads = [Section::Redemption, Section::Use, Section::Staff];
            leads
                .contains(&cell.group.section)
                .then(|| format!("{}#{}", cell.day, cell.group.item()))
        });
        let mut order: Vec<_> = cells.collect();
        // `staff` sorts before `uses`, and its item holds several locations.
        order.sort();
        order.dedup();
        Some(Self {
            order: format!("{}#{}", case.event.tenant, order.join(" ")),
            tracked,
            counted,
        })
    }
}

impl Analytics {
    /// The effects of an event that counts nowhere: its record.
    pub(crate) fn skip<'a>(&self, case: &'a Case<'a>) -> Effects<'a> {
        let mut row = Row::default();
        let why = match &case.tracked {
            Some(_) => "a sandbox or test event: not counted",
            None => "nothing to count",
        };
        row.set("result", Some(why));
        Effects::new(case.event, RECORD)
            .status(Status::Skipped)
            .fields(row)
    }

    /// The effects of counting an event, without its counters.
    pub(crate) fn effects<'a>(
        &self,
        case: &'a Case<'a>,
        plan: &Plan,
        now: Timestamp,
    ) -> anyhow::Result<Effects<'a>> {
        let Case { event, known, .. } = case;
        let mut row = plan.tracked.write(case.at);
        row.set("result", Some("counted"));
        let forget_at = self.forget_at(case, now);
        let place = known.place.as_ref();
        let mut effects = match &event.fact {
            Fact::Redeemed(_) => {
                let owner = case.owner().id;
                row.set("owner", (owner != event.member.id).then_some(owner));
                let seen = place.filter(|it| !it.is_record);
                let seen = seen.and_then(|it| it.version.clone());
                Effects::replacing(event, RECORD, seen)
            }
            _ => {
                let effects = Effects::new(event, RECORD);
                match place {
                    Some(_) => effects,
                    None => effects.change(self.hold_place(case, now)),
                }
            }
        };
        effects = effects.fields(row);
        let line = line_key(&self.members, &event.key, &case.owner());
        let counted = &plan.counted;
        let followed = known
            .line
            .followed_by(line, &counted.line, forget_at, now)?;
        effects = effects.change(followed);
        if case.owner() != case.member() {
            let key = own_line_key(&self.members, &event.key, &case.member());
            let line = Line {
                share: counted.share.clone(),
                ..Line::default()
            };
            let line = AttributeValue::S(serde_json::to_string(&line)?);
            let change = Change::of(key)
                .set("line", line)
                .set("ttl", number(forget_at));
            effects = effects.change(change);
        }
        if let Some(redeemed) = &counted.line.redeemed {
            for use_ in &counted.completes {
                effects = effects.change(self.complete(case, use_, redeemed, now));
            }
        }
        for entry in &counted.names {
            let reverses = serde_json::to_string(&event.key.redemption())?;
            let change = self.beneath(case, entry, now);
            effects = effects.change(change.set("reverses", AttributeValue::S(reverses)));
        }
        Ok(effects)
    }

    /// Writes a row in place of the redemption's record. A concurrent redemption conflicts with
    /// this row, and learns the line's owner from it.
    fn hold_place(&self, case: &Case<'_>, now: Timestamp) -> Change {
        let key = case.event.key.redemption();
        let row = self.ledger.row_key(key.coupon(), key.beneath(RECORD));
        let version = case.event.key.entry().to_owned();
        Change::of(row)
            .set("owner", AttributeValue::S(case.event.member.id.clone()))
            .set(PLACEHOLDER, AttributeValue::Bool(true))
            .set("attempt", AttributeValue::S(version))
            .set("ttl", self.ledger.forget_at(case.event, now))
            .remove("status")
            .only_if(
                "attribute_not_exists(#entry) OR #ttl <= :now",
                &[("now", number(now.as_second()))],
            )
    }

    fn complete(
        &self,
        case: &Case<'_>,
        use_: &Awaiting,
        redeemed: &Redeemed,
        now: Timestamp,
    ) -> Change {
        let seconds = webhooks::figures::time_to_usage_s(redeemed.at, use_.at);
        let hours = webhooks::figures::hours(seconds);
        self.beneath(case, &use_.entry, now)
            .set("time_to_usage_s", number(seconds))
            .set("time_to_usage_hours", number(hours))
    }

    /// A change of another event's record, of the same coupon. If that event has expired, the
    /// change only leaves an expired row.
    fn beneath(&self, case: &Case<'_>, entry: &str, now: Timestamp) -> Change {
        let row = format!("{entry}/{RECORD}");
        let row = self.ledger.row_key(case.event.key.coupon(), row);
        Change::of(row).keep("ttl", self.ledger.forget_at(case.event, now))
    }
}

pub(crate) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
