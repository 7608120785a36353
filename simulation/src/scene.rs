//! Scenes: tests of single things in simulated time, in a world with the parts of a task function.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use fastrand::Rng;
use inventory::Inventory;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::Event;
use webhooks::invocation::Invocation;
use webhooks::ledger::Ledger;
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure, QueueMessage};

use crate::history::{Moment, Process};
use crate::world::World;

/// The time limit of an invocation.
const TIME: Duration = Duration::from_secs(30);

/// A world of its own, and the parts of a task function in it.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) ledger: Ledger,
    inventory: Inventory,
}

/// Plays one scene in simulated time.
pub(crate) fn play_scene(story: impl AsyncFnOnce(&Scene)) {
    fastrand::seed(7);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::start(7, &mut Rng::with_seed(7)).unwrap();
        let process = Process {
            function: "test".into(),
            number: 1,
        };
        let network = world.functions.network(&process);
        let aws = Aws::local("http://aws").over(network.client());
        let mut environment = Environment::of([
            ("EVENTS_TABLE", "events"),
            ("STOCK_TABLE", "stock"),
            ("STOCK_THRESHOLD", "5"),
            (
                "ALERTS_TOPIC_ARN",
                "arn:aws:sns:us-east-1:000000000000:alerts",
            ),
            ("RETENTION_DAYS", "35"),
            ("FIGURES_TABLE", "figures"),
            ("FIGURE_SHARDS", "4"),
            ("REPORT_DAYS", "400"),
            ("TIME_ZONE", "UTC"),
        ]);
        let ledger = Ledger::read(&mut environment, &aws, CallLimits::TASK);
        let inventory = Inventory::read(&mut environment, &aws);
        environment.check().unwrap();
        let scene = Scene {
            world,
            ledger,
            inventory,
        };
        story(&scene).await;
    });
}

impl Scene {
    /// An invocation that begins now.
    pub(crate) fn invocation(&self) -> Invocation {
        let now = self.world.now();
        Invocation::new(now, now + TIME)
    }

    /// A fault in every transaction.
    pub(crate) fn fault(&self, mode: CallMode) -> Fault {
        Fault::calls(Service::DynamoDb, "TransactWriteItems", mode)
    }

    /// How many transactions DynamoDB answered with this status.
    pub(crate) fn transactions(&self, status: u16) -> usize {
        let moments = self.world.history.moments().into_iter();
        let those = moments.filter(|(_, moment)| match moment {
            Moment::Performed {
                call,
                status: Some(answered),
                ..
            } => call.operation.ends_with("TransactWriteItems") && *answered == status,
            _ => false,
        });
        those.count()
    }

    /// How many rows the events table has.
    pub(crate) async fn records(&self) -> usize {
        self.world.items("events").await.unwrap().len()
    }

    /// Gives events to the inventory, as one batch.
    pub(crate) async fn keep(&self, events: &[&Event]) -> Vec<Result<(), Failure>> {
        self.work(events, self.invocation()).await
    }

    /// Like `keep`, in an invocation of this length. The worker ends 4 s before the invocation
    /// does.
    pub(crate) async fn keep_within(
        &self,
        events: &[&Event],
        time: Duration,
    ) -> Option<Vec<Result<(), Failure>>> {
        let now = self.world.now();
        let work = self.work(events, Invocation::new(now, now + time));
        let margin = Duration::from_secs(4);
        tokio::time::timeout(time - margin, work).await.ok()
    }

    async fn work(&self, events: &[&Event], invocation: Invocation) -> Vec<Result<(), Failure>> {
        let messages = events.iter().map(|event| {
            let message = Message::new(event, self.world.now(), None);
            Message::read(&message.to_body()).unwrap()
        });
        self.inventory.work(messages.collect(), invocation).await
    }
}
