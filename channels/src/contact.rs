//! A member's addresses: of each name, address and number, the latest statement counts.

use jiff::Timestamp;
use webhooks::event::Member;

use crate::texts::meant;

/// What the contact row knows of a member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contact {
    pub stated: Stated,
    /// The member asked for no messages.
    pub do_not_contact: bool,
    /// An operator erased the member's personal data, and the member has not enrolled since.
    pub forgotten: bool,
}

/// The contact fields of one statement. Personal data: never log it.
#[derive(Clone, Default, PartialEq)]
pub struct Stated {
    /// The statement's time; `None` for an empty one.
    pub at: Option<Timestamp>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

impl std::fmt::Debug for Stated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stated")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Stated {
    /// The contact fields of an event. A placeholder such as `null` or `N/A` counts as missing.
    pub fn by(member: &Member, at: Timestamp) -> Self {
        let field = |text: &Option<String>| text.as_deref().and_then(meant);
        Self {
            at: Some(at),
            name: field(&member.name),
            email: field(&member.email),
            phone: field(&member.phone),
        }
    }
}

impl Contact {
    /// The member, from the contact row and from events. If an enrolment corrected an address that
    /// had failed, the enrolment's address counts, unless a later event states another. At the same
    /// time, the contact row comes before an event.
    pub fn complete<'a>(
        &self,
        id: &str,
        events: impl IntoIterator<Item = (&'a Member, Timestamp)>,
    ) -> Member {
        let events = events
            .into_iter()
            .map(|(member, at)| Stated::by(member, at));
        let mut all: Vec<_> = [self.stated.clone()].into_iter().chain(events).collect();
        // A stable sort: among statements of the same time, the contact row stays first.
        all.sort_by_key(|stated| std::cmp::Reverse(stated.at));
        let latest =
            |field: fn(&Stated) -> &Option<String>| all.iter().find_map(|it| field(it).clone());
        Member {
            id: id.to_owned(),
            name: latest(|stated| &stated.name),
            email: latest(|stated| &stated.email),
            phone: latest(|stated| &stated.phone),
            tier: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn member(name: &str, email: &str, phone: &str) -> Member {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Member {
            id: "ZP-1".into(),
            name: text(name),
            email: text(email),
            phone: text(phone),
            tier: None,
        }
    }

    /// Checks name, address and number, for a contact row of time 100 and these events.
    #[track_caller]
    fn check(contact: &Member, events: &[(&Member, i64)], expected: [&str; 3]) {
        let contact = Contact {
            stated: Stated::by(contact, at(100)),
            ..Contact::default()
        };
        let events = events.iter().map(|(member, second)| (*member, at(*second)));
        let member = contact.complete("ZP-1", events);
        let found = [member.name, member.email, member.phone];
        assert_eq!(found.map(Option::unwrap_or_default), expected);
    }

    #[test]
    fn the_latest_counts_whoever_reported_it() {
        let old = member("Maria", "old@example.com", "+5511900000001");
        let new = member("Maria Silva", "new@example.com", "+5511900000002");
        check(
            &new,
            &[(&old, 99)],
            ["Maria Silva", "new@example.com", "+5511900000002"],
        );
        check(
            &new,
            &[(&old, 100)],
            ["Maria Silva", "new@example.com", "+5511900000002"],
        );
        check(
            &old,
            &[(&new, 101)],
            ["Maria Silva", "new@example.com", "+5511900000002"],
        );
        check(
            &old,
            &[(&old, 50), (&new, 101)],
            ["Maria Silva", "new@example.com", "+5511900000002"],
        );
    }

    #[test]
    fn what_the_latest_lacks_is_taken_from_the_one_before() {
        let mail = member("", "new@example.com", "");
        let phone = member("Maria", "", "+5511900000001");
        check(
            &mail,
            &[(&phone, 50)],
            ["Maria", "new@example.com", "+5511900000001"],
        );
        let nothing = member("N/A", "null", " - ");
        check(&nothing, &[(&phone, 50)], ["Maria", "", "+5511900000001"]);
        check(&nothing, &[], ["", "", ""]);
    }
}
