//! Which tasks an event causes, and the message that each task gets.

mod queued;
mod work;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{DiscountKind, Event, Fact};
use crate::message::{QueueMessage, queue_body, read_versioned};
use crate::record;

pub use crate::message::{Unknown, Unreadable};
pub use queued::{Elsewhere, MESSAGE_MAX_BYTES, QUEUED_VERSION, Queued};
pub use work::{WORK_VERSION, WorkMessage};

/// Slow work behind a queue. The function of the same name does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// The coupon in its member's account, the messages about it, and the items of a game.
    Delivery,
    /// The stock: a redemption reserves a product, and a use takes the product.
    Inventory,
    /// The rules that report misuse of a coupon.
    Fraud,
    /// The counters of the event's tenant and day.
    Analytics,
    /// The questions to a member some time after a use.
    Surveys,
}

impl Task {
    /// All tasks.
    pub const ALL: [Task; 5] = [
        Task::Delivery,
        Task::Inventory,
        Task::Fraud,
        Task::Analytics,
        Task::Surveys,
    ];

    /// The name of the task's function, of its queue and of its records in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Task::Delivery => "delivery",
            Task::Inventory => record::INVENTORY,
            Task::Fraud => record::FRAUD,
            Task::Analytics => record::ANALYTICS,
            Task::Surveys => record::SURVEYS,
        }
    }

    /// The task of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// The names of all records that the task may leave beneath an event.
    pub fn records(self) -> &'static [&'static str] {
        match self {
            Task::Delivery => &[
                record::delivery::ACCOUNT,
                record::delivery::EMAIL,
                record::delivery::WHATSAPP,
                record::delivery::SMS,
                record::delivery::REMINDER,
                record::delivery::CONTACT,
                record::delivery::GRANT,
                record::delivery::FORWARD,
            ],
            Task::Inventory => &[record::INVENTORY],
            Task::Fraud => &[record::FRAUD],
            Task::Analytics => &[record::ANALYTICS],
            Task::Surveys => &[
                record::SURVEYS,
                record::surveys::ASK,
                record::surveys::ANSWER,
            ],
        }
    }

    /// The record that the task always leaves beneath this event. This record names the other
    /// records that must follow.
    pub fn first_record(self, event: &Event) -> &'static str {
        match (self, &event.fact) {
            (Task::Delivery, Fact::Redeemed(redemption)) if !redemption.reward.items.is_empty() => {
                record::delivery::GRANT
            }
            (Task::Delivery, Fact::Expiring(_)) => record::delivery::REMINDER,
            (Task::Delivery, Fact::Enrolled) => record::delivery::CONTACT,
            (Task::Delivery, _) => record::delivery::ACCOUNT,
            (Task::Inventory, _) => record::INVENTORY,
            (Task::Fraud, _) => record::FRAUD,
            (Task::Analytics, _) => record::ANALYTICS,
            (Task::Surveys, _) => record::SURVEYS,
        }
    }

    /// The environment variable that holds the URL of the task's queue.
    pub fn queue_variable(self) -> &'static str {
        match self {
            Task::Delivery => "DELIVERY_QUEUE_URL",
            Task::Inventory => "INVENTORY_QUEUE_URL",
            Task::Fraud => "FRAUD_QUEUE_URL",
            Task::Analytics => "ANALYTICS_QUEUE_URL",
            Task::Surveys => "SURVEYS_QUEUE_URL",
        }
    }
}

/// The tasks that an event causes. A new consumer of events is a line here, and a function.
pub fn tasks(event: &Event) -> &'static [Task] {
    use Task::{Analytics, Delivery, Fraud, Inventory, Surveys};
    match &event.fact {
        // Delivery gets every event: for the account, the messages, and the coupon's state.
        Fact::Enrolled => &[Delivery],
        Fact::Redeemed(redemption) => match redemption.discount.as_ref().map(|it| &it.kind) {
            Some(DiscountKind::ProductFree | DiscountKind::BuyOneGetOne) => {
                &[Delivery, Inventory, Fraud, Analytics]
            }
            _ => &[Delivery, Fraud, Analytics],
        },
        // Any use ends the coupon's reservation, whatever discount it names.
        Fact::Used(_) => &[Delivery, Inventory, Fraud, Analytics, Surveys],
        Fact::Cancelled(_) => &[Delivery, Inventory, Fraud, Analytics],
        // The event may change the expiry, which the reservation and the findings depend on.
        Fact::Expiring(_) => &[Delivery, Inventory, Fraud],
        // Fraud knows the expiry from the redemption.
        Fact::Expired(_) => &[Delivery, Inventory, Analytics],
    }
}

/// The tasks that look at a recorded event again after another body contradicted it.
pub fn tasks_of_conflict(recorded: &Event) -> &'static [Task] {
    match &recorded.fact {
        Fact::Used(_) => &[Task::Fraud],
        _ => &[],
    }
}

/// The version of [`Message`] that this code writes, and the newest that this code reads.
pub const MESSAGE_VERSION: u32 = 1;

/// The message to a task: the same body for every queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// The version of the message's shape. Code that knows only older versions leaves the message
    /// to newer code.
    pub version: u32,
    /// The event, under the key of its row in the ledger.
    pub event: Cow<'a, Event>,
    /// When a webhook function received the event first.
    pub received_at: Timestamp,
    /// The X-Ray trace header of the invocation that received the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Cow<'a, str>>,
    /// The names of the only records to work on, if an operator asks for some: `delivery/email`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

impl<'a> Message<'a> {
    /// The message for all tasks of an event.
    pub fn new(event: &'a Event, received_at: Timestamp, trace: Option<&'a str>) -> Self {
        Self {
            version: MESSAGE_VERSION,
            event: Cow::Borrowed(event),
            received_at,
            trace: trace.map(Cow::Borrowed),
            only: Vec::new(),
        }
    }

    /// Whether to work on the record of this name.
    pub fn asks_for(&self, record: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == record)
    }

    /// The message as a queue takes it.
    pub fn to_body(&self) -> String {
        queue_body(self)
    }
}

impl QueueMessage for Message<'static> {
    fn read(body: &str) -> Result<Self, Unreadable> {
        let mut message: Self = read_versioned(body, MESSAGE_VERSION)?;
        message.event.to_mut().received_at = Some(message.received_at);
        Ok(message)
    }

    fn key(&self) -> String {
        self.event.key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Notice;
    use crate::provider::aghanim::Aghanim;
    use crate::provider::zupy::Zupy;
    use crate::provider::{Content, Provider};
    use crate::verify::Verified;

    fn event(provider: impl Provider, body: &str) -> Event {
        match provider
            .parse(&Verified::recorded(body.as_bytes(), "", None))
            .content
        {
            Content::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    }

    const REDEEMED: &str = include_str!("../../events/samples/zupy-coupon-redeemed.json");
    const USED: &str = include_str!("../../events/samples/zupy-coupon-used.json");
    const ITEMS: &str = include_str!("../../events/samples/aghanim-coupon-redeemed-bundle.json");

    #[track_caller]
    fn check(provider: impl Provider, body: &str, expected: &[Task]) {
        assert_eq!(tasks(&event(provider, body)), expected);
    }

    #[test]
    fn the_inventory_gets_only_events_that_may_move_stock() {
        let zupy = Zupy::every_event();
        let others = [Task::Delivery, Task::Fraud, Task::Analytics];
        let all = Task::ALL;
        let moves_stock = [
            Task::Delivery,
            Task::Inventory,
            Task::Fraud,
            Task::Analytics,
        ];
        for (kind, of_redeemed) in [
            ("buy_one_get_one", &moves_stock[..]),
            ("percentage", &others),
            ("fixed_amount", &others),
            // A kind that the provider has added since.
            ("mystery", &others),
        ] {
            let with = |body: &str| body.replace("product_free", kind);
            check(zupy, &with(REDEEMED), of_redeemed);
            // Any use ends the reservation.
            check(zupy, &with(USED), &all);
        }
        let without = |body: &str| body.replace("\"product_free\"", "null");
        check(zupy, &without(REDEEMED), &others);
        check(zupy, &without(USED), &all);
        check(Aghanim, ITEMS, &others);
    }

    #[test]
    fn fraud_gets_the_end_of_a_coupon_only_if_misuse_can_follow() {
        let tasks_of = |fact: fn(Notice) -> Fact| {
            let mut event = event(Zupy::every_event(), USED);
            event.fact = fact(Notice {
                coupon_code: "CP-1".into(),
                reward_name: None,
                expires_at: None,
            });
            tasks(&event)
        };
        let cancelled = [
            Task::Delivery,
            Task::Inventory,
            Task::Fraud,
            Task::Analytics,
        ];
        assert_eq!(tasks_of(Fact::Cancelled), cancelled);
        let expired = [Task::Delivery, Task::Inventory, Task::Analytics];
        assert_eq!(tasks_of(Fact::Expired), expired);
        let expiring = [Task::Delivery, Task::Inventory, Task::Fraud];
        assert_eq!(tasks_of(Fact::Expiring), expiring);
    }

    #[test]
    fn only_a_use_is_asked_about() {
        let used = event(Zupy::every_event(), USED);
        assert!(tasks(&used).contains(&Task::Surveys));
        let redeemed = event(Zupy::every_event(), REDEEMED);
        assert!(!tasks(&redeemed).contains(&Task::Surveys));
        assert_eq!(Task::Surveys.first_record(&used), "surveys");
    }

    #[test]
    fn delivery_gets_every_event() {
        let zupy = Zupy::every_event();
        let check = |event: &Event, first_record: &str| {
            assert!(tasks(event).contains(&Task::Delivery));
            assert_eq!(Task::Delivery.first_record(event), first_record);
            assert!(Task::Delivery.records().contains(&first_record));
        };
        check(&event(zupy, REDEEMED), record::delivery::ACCOUNT);
        check(&event(zupy, USED), record::delivery::ACCOUNT);
        check(&event(Aghanim, ITEMS), record::delivery::GRANT);
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let events = [
            event(Zupy::every_event(), REDEEMED),
            event(Zupy::every_event(), USED),
            event(Aghanim, ITEMS),
        ];
        for mut event in events {
            event.received_at = Some(Timestamp::UNIX_EPOCH);
            let event = &event;
            let message = Message::new(event, Timestamp::UNIX_EPOCH, Some("Root=1-2-3"));
            assert_eq!(Message::read(&message.to_body()), Ok(message));
        }
    }

    #[test]
    fn a_message_of_a_newer_version_is_left_to_newer_code() {
        assert_eq!(
            Message::read(r#"{"version":2,"shape":"unknown"}"#),
            Err(Unreadable::Newer {
                version: 2,
                newest: 1
            })
        );
        assert_eq!(
            Message::read("[]"),
            Err(Unreadable::Malformed { line: 1, column: 2 })
        );
    }

    proptest! {
        /// SQS takes only some characters, but every event must get through.
        #[test]
        fn a_message_holds_only_what_sqs_takes(name in any::<String>(), odd in "[\u{FFFE}\u{FFFF}\u{1}\u{7F}a]{0,6}") {
            let mut event = event(Zupy::every_event(), REDEEMED);
            event.member.name = Some(name + &odd);
            event.received_at = Some(Timestamp::UNIX_EPOCH);
            let message = Message::new(&event, Timestamp::UNIX_EPOCH, None);
            let body = message.to_body();
            let taken = |character: char| {
                matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}')
                    || character >= '\u{10000}'
            };
            prop_assert_eq!(body.chars().find(|&character| !taken(character)), None);
            prop_assert_eq!(Message::read(&body), Ok(message));
        }
    }
}
