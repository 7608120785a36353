//! Records that settle together with their figures, under faults.

use emulators::faults::CallMode;
use serde_json::{Value, json};
use webhooks::event::{Envelope, Event, EventKey, Fact, Member, Usage};
use webhooks::invocation::Invocation;
use webhooks::ledger::{Attached, Change, Claim, ItemKey, Lease, Note, Row, Status};

use crate::scene::{Scene, play_scene};

const RECORD: &str = "surveys/ask";

fn used() -> Event {
    Event {
        key: EventKey::used("zupy", "comp", "CP-1", "1"),
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: jiff::Timestamp::UNIX_EPOCH,
        sandbox: false,
        received_at: None,
        member: Member::default(),
        fact: Fact::Used(Usage::default()),
        envelope: Envelope::default(),
        warnings: Vec::new(),
    }
}

/// The key of an item, in any table.
fn counter() -> ItemKey {
    ItemKey::new("members", ("member", "m"), ("entry", "sent"))
}

fn one() -> Vec<Change> {
    vec![Change::of(counter()).add("sent", 1.into())]
}

impl Scene {
    async fn lease(&self, invocation: Invocation) -> Lease {
        match self.ledger.claim(&used(), RECORD, invocation).await {
            Ok(Claim::Granted(lease)) => lease,
            other => panic!("no lease: {other:?}"),
        }
    }

    async fn counted(&self) -> Value {
        let rows = self.world.items("members").await.unwrap();
        let row = rows.into_iter().find(|row| row["entry"] == "sent");
        row.map_or(Value::Null, |row| row["sent"].clone())
    }

    async fn asked(&self) -> Value {
        let rows = self.world.items("events").await.unwrap();
        let entry = format!("used#1/{RECORD}");
        let row = rows.into_iter().find(|row| row["entry"] == entry.as_str());
        row.unwrap_or_default()
    }
}

#[test]
fn a_lease_settles_with_what_is_counted() {
    play_scene(async |scene| {
        let lease = scene.lease(scene.invocation()).await;
        let mut fields = Row::default();
        fields.set("counted_on", Some("2026-11-28"));
        let attached = Attached {
            fields,
            changes: one(),
        };
        lease
            .settle_with(Status::Done, "id", attached)
            .await
            .unwrap();
        let record = scene.asked().await;
        assert_eq!(record["status"], "done");
        assert_eq!(record["counted_on"], "2026-11-28");
        assert_eq!(record["lease_until_ms"], Value::Null);
        assert_eq!(scene.counted().await, json!(1));
    });
}

/// Each of these modes loses an answer, and the next attempt must not count again.
#[test]
fn a_settling_whose_answer_was_lost_is_counted_once() {
    for modes in [
        vec![CallMode::LoseResponse],
        vec![CallMode::LoseResponse, CallMode::Conflict],
        vec![CallMode::Conflict, CallMode::Throttle],
        // The SDK gives up too.
        vec![CallMode::LoseResponse; 4],
    ] {
        play_scene(async |scene| {
            let lease = scene.lease(scene.invocation()).await;
            let faults: Vec<_> = modes
                .iter()
                .map(|mode| scene.world.faults.add(scene.fault(*mode).once()))
                .collect();
            lease
                .settle_with(Status::Done, "id", one())
                .await
                .unwrap_or_else(|error| panic!("{modes:?}: {error:#}"));
            for fault in faults {
                assert_eq!(scene.world.faults.applied(fault), Some(1), "{modes:?}");
            }
            assert_eq!(scene.asked().await["status"], "done", "{modes:?}");
            assert_eq!(scene.counted().await, json!(1), "{modes:?}");
        });
    }
}

#[test]
fn whoever_lost_the_lease_counts_nothing() {
    play_scene(async |scene| {
        let now = scene.world.now();
        let soon = now + std::time::Duration::from_secs(1);
        let slow = scene.lease(Invocation::new(now, soon)).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let other = scene.lease(scene.invocation()).await;
        slow.settle_with(Status::Done, "slow", one()).await.unwrap();
        assert_eq!(scene.asked().await["status"], "running");
        assert_eq!(scene.counted().await, Value::Null);
        other.settle_with(Status::Done, "id", one()).await.unwrap();
        assert_eq!(scene.asked().await["result"], "id");
        assert_eq!(scene.counted().await, json!(1));
    });
}

#[test]
fn an_effect_that_cannot_be_counted_is_settled_all_the_same() {
    play_scene(async |scene| {
        let text = json!({"member": {"S": "m"}, "entry": {"S": "sent"}, "sent": {"S": "none"}});
        scene.world.put("members", text).await.unwrap();
        let lease = scene.lease(scene.invocation()).await;
        lease.settle_with(Status::Done, "id", one()).await.unwrap();
        assert_eq!(scene.asked().await["status"], "done");
    });
}

#[test]
fn a_note_is_counted_once() {
    play_scene(async |scene| {
        let event = used();
        let note = || Note::new(Status::Skipped, "no address");
        let lost = scene.fault(CallMode::LoseResponse).once();
        scene.world.faults.add(lost);
        for _ in 0..2 {
            let ledger = &scene.ledger;
            let noted = ledger.note_with(&event, RECORD, note(), one(), scene.invocation());
            noted.await.unwrap();
        }
        assert_eq!(scene.asked().await["status"], "skipped");
        assert_eq!(scene.counted().await, json!(1));
    });
}

#[test]
fn a_note_replaces_what_an_attempt_left() {
    play_scene(async |scene| {
        let lease = scene.lease(scene.invocation()).await;
        lease.release("throttled", None).await.unwrap();
        let note = Note::new(Status::Skipped, "no address");
        let (event, invocation) = (used(), scene.invocation());
        let noted = scene.ledger.note(&event, RECORD, note, invocation).await;
        noted.unwrap();
        let record = scene.asked().await;
        assert_eq!(record["status"], "skipped");
        assert_eq!(record["owner"], Value::Null);
        assert_eq!(record["attempts"], Value::Null);
    });
}
