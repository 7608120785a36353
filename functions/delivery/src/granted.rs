//! The in-game items that a redemption brings its player, as a row of the members table.

use channels::Members;
use serde_json::json;
use webhooks::event::{Event, part};
use webhooks::ledger::{Change, Row};

use crate::items::Brought;

/// What comes before a redemption's name in the entry of the items that it brought.
const GRANT: &str = "grant#";

/// The most that a grant tells of its items. With the row's other fields that stays below DynamoDB's 400 KB.
const GRANT_MAX_BYTES: usize = 350_000;

/// What a redemption brings its player, as the grant's row holds it.
#[derive(Debug)]
pub(crate) struct Granted {
    items: String,
    bundles: Option<String>,
}

impl Granted {
    /// Nothing where it is more than a row holds.
    pub(crate) fn of(brought: &Brought) -> Option<Self> {
        let bundles = (!brought.bundles.is_empty()).then_some(&brought.bundles);
        let granted = Self {
            items: json!(brought.items).to_string(),
            bundles: bundles.map(|it| json!(it).to_string()),
        };
        let bytes = granted.items.len() + granted.bundles.as_ref().map_or(0, String::len);
        (bytes <= GRANT_MAX_BYTES).then_some(granted)
    }

    /// The change that records the items that a redemption brings its player.
    pub(crate) fn change(self, members: &Members, event: &Event, code: &str) -> Change {
        let mut row = Row::default();
        row.set("code", Some(code));
        row.set("granted_at", Some(event.occurred_at));
        row.set("event", Some(&event.key));
        row.set("items", Some(self.items));
        row.set("bundles", self.bundles);
        let entry = format!("{GRANT}{}", part(event.key.coupon()));
        members.change(event, entry).set_all(row)
    }
}
