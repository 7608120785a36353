//! When a coupon expires: its redemption names a date, and `coupon.expiring` can change that date.
//!
//! Events come in any order. The statement with the latest provider time counts, so fraud,
//! reservation and account agree in every order.

use jiff::Timestamp;

use crate::event::{Event, Fact};

/// What one event says about its coupon's expiry. The greatest statement about a coupon counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// When the event occurred.
    pub stated_at: Timestamp,
    /// If two statements have the same time, a notice outranks the redemption.
    pub is_notice: bool,
    /// If two notices have the same time, the later expiry counts: the customer keeps the coupon.
    pub expires_at: Timestamp,
}

impl Expiry {
    /// What an event says; `None` if the event is from a sandbox or names no expiry.
    pub fn of(event: &Event) -> Option<Self> {
        let (is_notice, expires_at) = match &event.fact {
            Fact::Redeemed(redemption) => (false, redemption.expires_at?),
            Fact::Expiring(notice) => (true, notice.expires_at?),
            _ => return None,
        };
        (!event.sandbox).then_some(Self {
            stated_at: event.occurred_at,
            is_notice,
            expires_at,
        })
    }

    /// The statement as text that sorts as the statement does. Rows hold it to name the statement
    /// that they follow.
    pub fn statement(&self) -> String {
        let (stated_at, rank) = (sortable(self.stated_at), u8::from(self.is_notice));
        format!("{stated_at} {rank} {}", sortable(self.expires_at))
    }
}

/// When a coupon expires, by all of its known events.
pub fn latest<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Timestamp> {
    let statements = events.into_iter().filter_map(Expiry::of);
    statements.max().map(|it| it.expires_at)
}

/// A time in milliseconds as text, which sorts as the time does.
pub fn sortable(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Envelope, EventKey, Member, Notice, Redemption};

    fn event(at: &str, fact: Fact) -> Event {
        Event {
            key: EventKey::redeemed("zupy", "comp", "CP-1"),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: format!("2026-11-{at}T10:00:00Z").parse().unwrap(),
            sandbox: false,
            received_at: None,
            member: Member::default(),
            fact,
            envelope: Envelope::default(),
            warnings: Vec::new(),
        }
    }

    fn day(day: &str) -> Timestamp {
        format!("2026-12-{day}T00:00:00Z").parse().unwrap()
    }

    fn redeemed(at: &str, expires: &str) -> Event {
        let redemption = Redemption {
            expires_at: Some(day(expires)),
            ..Redemption::default()
        };
        event(at, Fact::Redeemed(redemption))
    }

    fn expiring(at: &str, expires: &str) -> Event {
        let notice = Notice {
            coupon_code: "CP-1".into(),
            reward_name: None,
            expires_at: Some(day(expires)),
        };
        event(at, Fact::Expiring(notice))
    }

    #[track_caller]
    fn check(events: &[Event], expected: Option<&str>) {
        let expected = expected.map(day);
        assert_eq!(latest(events), expected);
        assert_eq!(latest(events.iter().rev()), expected);
    }

    #[test]
    fn the_statement_made_last_counts_whichever_came_first() {
        check(&[], None);
        check(&[redeemed("01", "10")], Some("10"));
        check(&[redeemed("01", "10"), expiring("02", "20")], Some("20"));
        check(&[redeemed("01", "10"), expiring("02", "05")], Some("05"));
        let twice = [
            redeemed("01", "10"),
            expiring("03", "15"),
            expiring("02", "20"),
        ];
        check(&twice, Some("15"));
    }

    #[test]
    fn statements_sort_like_what_they_say() {
        let events = [
            redeemed("01", "20"),
            expiring("01", "05"),
            expiring("01", "06"),
            redeemed("02", "04"),
            expiring("03", "01"),
        ];
        let statements = events.iter().filter_map(Expiry::of);
        assert!(statements.clone().is_sorted());
        assert!(statements.map(|it| it.statement()).is_sorted());
    }

    #[test]
    fn at_the_same_time_a_notice_counts_and_then_the_later_expiry() {
        check(&[redeemed("01", "10"), expiring("01", "05")], Some("05"));
        check(&[expiring("01", "05"), expiring("01", "06")], Some("06"));
    }

    #[test]
    fn a_sandbox_moves_nothing() {
        let mut trial = expiring("02", "20");
        trial.sandbox = true;
        check(&[redeemed("01", "10"), trial], Some("10"));
    }
}
