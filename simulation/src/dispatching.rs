//! `dispatch`: what happens to a batch that SQS does not accept as a whole.

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use jiff::Timestamp;
use webhooks::config::{Aws, Environment};
use webhooks::dispatch::Dispatch;
use webhooks::event::{Envelope, Event, EventKey, Fact, Member, Redemption, Reward};
use webhooks::task::{Message, Queued, Task, WorkMessage};
use webhooks::worker::{self, BatchWork, Failure, QueueMessage};

use crate::history::{Moment, Process};
use crate::scene::{Scene, play_scene};

fn redeemed(code: &str, terms: usize) -> Event {
    Event {
        key: EventKey::redeemed("zupy", "comp", code),
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: Timestamp::UNIX_EPOCH,
        sandbox: false,
        member: Member {
            id: "ZP-1".into(),
            ..Member::default()
        },
        fact: Fact::Redeemed(Redemption {
            coupon_code: code.into(),
            reward: Reward {
                terms: Some("x".repeat(terms)),
                ..Reward::default()
            },
            ..Redemption::default()
        }),
        envelope: Envelope::default(),
        warnings: Vec::new(),
        received_at: None,
    }
}

impl Scene {
    /// A dispatcher with this queue for `inventory`.
    fn dispatcher(&self, inventory: &str) -> Dispatch {
        let process = Process {
            function: "dispatch".into(),
            number: 1,
        };
        let network = self.world.functions.network(&process);
        let aws = Aws::local("http://aws").over(network.client());
        let queue = |name: &str| format!("http://aws/000000000000/{name}");
        let queues = Task::ALL.map(|task| match task {
            Task::Inventory => (task.queue_variable(), queue(inventory)),
            _ => (task.queue_variable(), queue(task.name())),
        });
        let mut environment = Environment::of(queues);
        let dispatch = Dispatch::read(&mut environment, &aws);
        environment.check().unwrap();
        dispatch
    }

    /// Dispatches ten redemptions to `inventory` and `fraud`. Returns the codes of those that SQS
    /// must deliver again.
    async fn dispatch(&self, terms: usize) -> Vec<&'static str> {
        self.dispatch_by(&self.dispatcher("inventory"), terms).await
    }

    async fn dispatch_by(&self, dispatch: &Dispatch, terms: usize) -> Vec<&'static str> {
        let tasks = [Task::Inventory, Task::Fraud];
        let messages = CODES.iter().map(|code| {
            let event = redeemed(code, terms);
            let message = Message::new(&event, self.world.now(), None);
            WorkMessage::read(&WorkMessage::new(&message, &tasks).into_body()).unwrap()
        });
        let outcomes = dispatch.work(messages.collect(), self.invocation()).await;
        let again = CODES.iter().zip(outcomes).filter(|(_, it)| it.is_err());
        again
            .map(|(code, outcome)| {
                assert!(matches!(outcome, Err(Failure::Transient(_))), "{outcome:?}");
                *code
            })
            .collect()
    }

    /// How many entries each request to a task's queue had, in the order of the calls.
    fn requests_to(&self, queue: &str) -> Vec<usize> {
        let moments = self.world.history.moments().into_iter();
        let requests = moments.filter_map(|(_, moment)| match moment {
            Moment::Performed { call, .. } if call.operation.ends_with("SendMessageBatch") => {
                let is_to_it = call.body["QueueUrl"].as_str()?.ends_with(queue);
                is_to_it.then(|| call.body["Entries"].as_array().map(Vec::len))?
            }
            _ => None,
        });
        requests.collect()
    }
}

const CODES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[test]
fn ten_messages_are_one_request_to_each_queue() {
    play_scene(async |scene| {
        assert!(scene.dispatch(0).await.is_empty());
        for queue in ["/inventory", "/fraud"] {
            assert_eq!(scene.requests_to(queue), [10]);
        }
        assert_eq!(scene.requests_to("/delivery"), [0; 0]);
    });
}

#[test]
fn entries_that_sqs_refuses_are_sent_again_alone() {
    play_scene(async |scene| {
        let partly = Fault::calls(Service::Sqs, "SendMessageBatch", CallMode::FailPartially);
        scene.world.faults.add(partly);
        // Every second entry of each request fails, beginning with the first.
        assert_eq!(scene.dispatch(0).await, ["0"]);
        for queue in ["/inventory", "/fraud"] {
            assert_eq!(scene.requests_to(queue), [10, 5, 3, 2]);
        }
    });
}

#[test]
fn a_request_has_no_more_bytes_than_sqs_accepts() {
    play_scene(async |scene| {
        assert!(scene.dispatch(250 * 1024).await.is_empty());
        let mut requests = scene.requests_to("/fraud");
        requests.sort_unstable();
        assert_eq!(requests, [2, 4, 4]);
    });
}

#[test]
fn if_one_queue_refuses_everything_the_others_get_their_messages() {
    play_scene(async |scene| {
        let down = Fault::calls(Service::Sqs, "SendMessageBatch", CallMode::Fail);
        scene.world.faults.add(down.about("000/inventory"));
        assert_eq!(scene.dispatch(0).await, CODES);
        assert_eq!(scene.requests_to("/fraud"), [10]);
        // The client tries three times.
        assert_eq!(scene.requests_to("/inventory"), [10, 10, 10]);
    });
}

#[test]
fn if_a_request_is_refused_for_good_each_entry_is_tried_alone() {
    play_scene(async |scene| {
        let dispatch = scene.dispatcher("nowhere");
        assert_eq!(scene.dispatch_by(&dispatch, 0).await, CODES);
        let mut requests = scene.requests_to("/nowhere");
        assert_eq!(requests.remove(0), 10);
        assert_eq!(requests, [1; 10]);
    });
}

/// The failure for a message that only names its event, with the event's row.
async fn load(scene: &Scene, row: Option<serde_json::Value>) -> Failure {
    if let Some(row) = row {
        scene.world.put("events", row).await.unwrap();
    }
    let elsewhere = include_str!("../../domain/testdata/messages/elsewhere-2.json");
    let queued = Queued::read(elsewhere).unwrap();
    let loaded = worker::load(queued, &scene.ledger, scene.world.now()).await;
    loaded.unwrap_err()
}

#[test]
fn an_event_that_only_newer_code_reads_waits_in_its_row() {
    play_scene(async |scene| {
        let absent = load(scene, None).await;
        assert!(matches!(absent, Failure::Permanent(_)), "{absent:?}");
        let row = serde_json::json!({
            "coupon": {"S": "zupy#comp_bella_vista#CP-A1B2C3D4"},
            "entry": {"S": "used#ord_POS_789"},
            "provider": {"S": "acme"}, "tenant": {"S": "comp_bella_vista"},
            "scheme": {"S": "acme-v1"},
            "received_at": {"S": "2025-08-26T18:45:01Z"}, "body": {"S": "{}"},
        });
        let newer = load(scene, Some(row)).await;
        assert!(matches!(newer, Failure::Transient(_)), "{newer:?}");
    });
}
