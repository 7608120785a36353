//! Shared by the pages of events, coupons and members: names of kinds, tasks and states in the
//! reader's language, and links.

use jiff::tz::TimeZone;
use reporting::progress::State;

use crate::address::Address;
use crate::words::records::Records;
use crate::written::Written;

/// The mark that a page gives a state. Colour alone never carries its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) text: &'static str,
}

impl Mark {
    pub(crate) fn of(state: State, words: &Records) -> Self {
        let (sign, text) = match state {
            State::Done => ("✓", words.state_done),
            State::Skipped => ("–", words.state_skipped),
            State::Waiting => ("…", words.state_waiting),
            State::Underway => ("↻", words.state_underway),
            State::Missing => ("?", words.state_missing),
            State::Failed => ("✗", words.state_failed),
        };
        Self {
            class: state.name(),
            sign,
            text,
        }
    }
}

/// `delivery/email` as `Delivery: email`. A task of newer code keeps its name.
pub(crate) fn task_name(record: &str, words: &Records) -> String {
    let (task, rest) = record.split_once('/').unwrap_or((record, ""));
    let task = match task {
        "delivery" => words.delivery,
        "inventory" => words.inventory,
        "fraud" => words.fraud,
        "analytics" => words.analytics,
        "surveys" => words.surveys,
        other => other,
    };
    let rest = match rest {
        "account" => words.record_account,
        "email" => words.record_email,
        "reminder" => words.record_reminder,
        "forward" => words.record_forward,
        "grant" => words.record_grant,
        "contact" => words.record_contact,
        "ask" => words.record_ask,
        "answer" => words.record_answer,
        "alert" => words.record_alert,
        other => other,
    };
    match rest {
        "" => task.to_owned(),
        rest => format!("{task}: {rest}"),
    }
}

/// An event's kind in words, and its distinction from others of its kind: `used#ord_1` is a use, of
/// the order `ord_1`.
pub(crate) fn kind_of<'a>(entry: &'a str, words: &Records) -> (&'static str, &'a str) {
    let (kind, detail) = match entry.find(['#', '@']) {
        Some(at) => (&entry[..at], &entry[at + 1..]),
        None => (entry, ""),
    };
    let kind = match kind {
        "redeemed" => words.is_redeemed,
        "used" => words.is_used,
        "cancelled" => words.is_cancelled,
        "expired" => words.is_expired,
        "expiring" => words.is_expiring,
        "enrolled" => words.is_enrolled,
        "registered" => words.is_registered,
        _ => return (words.is_other, entry),
    };
    (kind, detail)
}

/// A coupon's state in its account, in words. A state of newer code keeps its name.
pub(crate) fn coupon_state<'a>(state: &'a str, words: &Records) -> &'a str {
    match state {
        "active" => words.active,
        "used" => words.used,
        "cancelled" => words.cancelled,
        "expired" => words.expired,
        other => other,
    }
}

/// The page of a coupon, or of one event of it, by its key.
pub(crate) fn coupon_link(key: &str) -> String {
    format!("/dashboard/coupons/{}", in_path(key))
}

/// The page of a member.
pub(crate) fn member_link(provider: &str, tenant: &str, id: &str) -> String {
    let address = Address::new(&format!("/dashboard/members/{}", in_path(id)));
    let address = address.with("provider", provider).with("tenant", tenant);
    address.to_string()
}

/// Encodes a text as one part of a path. Encodes `.` and `..`, because browsers take them for steps
/// in the path. Every other `.` stays.
fn in_path(text: &str) -> String {
    let is_step = text.bytes().all(|it| it == b'.');
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'.' if !is_step => encoded.push('.'),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A recorded time as the language writes it, on a tenant's clock. A text that is no time stays as
/// it is.
pub(crate) fn moment_of(text: &str, zone: &TimeZone, written: Written) -> String {
    match text.parse() {
        Ok(at) => written.moment(at, zone),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn a_key_is_one_part_of_a_path() {
        let link = coupon_link("zupy#comp#50%25 off/used#1");
        assert_eq!(
            link,
            "/dashboard/coupons/zupy%23comp%2350%2525%20off%2Fused%231"
        );
        let link = member_link("zupy", "a&b", "../x y");
        assert_eq!(
            link,
            "/dashboard/members/..%2Fx%20y?provider=zupy&tenant=a%26b"
        );
        assert_eq!(coupon_link(".."), "/dashboard/coupons/%2E%2E");
    }

    #[test]
    fn an_entry_is_a_kind_and_what_tells_it_from_others() {
        let words = Records::of(Language::En);
        for (entry, kind, detail) in [
            ("redeemed", "Redeemed", ""),
            ("used#ord_1", "Used", "ord_1"),
            ("expiring@wh_1", "Expires soon", "wh_1"),
            ("pinged#7", "Event", "pinged#7"),
        ] {
            assert_eq!(kind_of(entry, words), (kind, detail), "{entry}");
        }
        assert_eq!(task_name("delivery/email", words), "Delivery: email");
        assert_eq!(task_name("tills/north", words), "tills: north");
        let words = Records::of(Language::PtBr);
        assert_eq!(task_name("delivery/account", words), "Entrega: conta");
        assert_eq!(task_name("surveys/ask", words), "Pesquisa: pergunta");
    }
}
