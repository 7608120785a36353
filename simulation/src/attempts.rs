//! Attempts on one message: several at the same time, and some that die with their process.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use webhooks::config::{Aws, Environment};
use webhooks::invocation::Invocation;
use webhooks::task::Message;
use webhooks::worker::{Failure, Queue, Work, Worker};

use crate::history::Process;
use crate::scene::{Scene, play_scene};

/// The time of an invocation, and the time that the message needs.
const TIME: Duration = Duration::from_secs(30);
const WORK: Duration = Duration::from_secs(20);

struct Slow;

impl Work for Slow {
    type Message = Message<'static>;

    async fn work(&self, _: Message<'static>, _: Invocation) -> Result<(), Failure> {
        tokio::time::sleep(WORK).await;
        Ok(())
    }
}

fn worker(scene: &Scene) -> Worker<Slow> {
    let process = Process {
        function: "delivery".into(),
        number: 1,
    };
    let network = scene.world.functions.network(&process);
    let aws = Aws::local("http://aws").over(network.client());
    let mut environment = Environment::of([
        ("EVENTS_TABLE", "events"),
        ("DELIVERY_QUEUE_URL", "http://aws/000000000000/delivery"),
        (
            "DELIVERY_DEAD_LETTER_QUEUE_URL",
            "http://aws/000000000000/delivery-dead-letter",
        ),
    ]);
    let queue = Queue::read(&mut environment, &aws, "delivery");
    environment.check().unwrap();
    Worker::new(queue, Slow)
}

impl Scene {
    /// Delivers the message for the nth time. Returns whether SQS must deliver the message again.
    async fn deliver(&self, worker: &Worker<Slow>, received: u32) -> bool {
        let sample = include_str!("../../events/delivery.json");
        let mut batch: serde_json::Value = serde_json::from_str(sample).unwrap();
        batch["Records"][0]["attributes"]["ApproximateReceiveCount"] = json!(received.to_string());
        let batch = serde_json::from_value(batch).unwrap();
        let now = self.world.now();
        let report = worker.work(batch, Invocation::new(now, now + TIME)).await;
        !report.batch_item_failures.is_empty()
    }

    async fn given_up(&self) -> usize {
        let dead = self.world.dead_letters().await;
        dead["delivery-dead-letter"].len()
    }
}

#[test]
fn a_message_that_is_delivered_many_times_at_once_is_not_given_up() {
    play_scene(async |scene| {
        let worker = worker(scene);
        let attempts = (1..=6).map(async |received| {
            tokio::time::sleep(Duration::from_secs(2) * received).await;
            scene.deliver(&worker, received).await
        });
        assert!(join_all(attempts).await.iter().all(|again| !again));
        assert_eq!(scene.given_up().await, 0);
    });
}

#[test]
fn a_message_whose_attempts_died_is_given_up_once_their_time_is_over() {
    play_scene(async |scene| {
        let worker = worker(scene);
        for received in 1..=4 {
            // The process dies after a second, and SQS delivers the message again too early.
            let attempt = scene.deliver(&worker, received);
            let attempt = tokio::time::timeout(Duration::from_secs(1), attempt).await;
            assert!(attempt.is_err(), "{received}");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(scene.given_up().await, 0);
        tokio::time::sleep(TIME).await;
        assert!(!scene.deliver(&worker, 5).await);
        assert_eq!(scene.given_up().await, 1);
    });
}
