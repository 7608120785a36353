//! The calls to the targets of schedules that are due.

use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::clock::Clock;
use crate::dynamodb::DynamoDb;
use crate::endpoint::Aws;
use crate::faults::{CallMode, Fault, Faults};
use crate::sent::Outside;
use crate::service::Service;
use crate::sqs::{Queue, Received, Sqs};

/// A running scheduler, in simulated time.
struct RunningScheduler {
    aws: Arc<Aws>,
    clock: Clock,
    faults: Faults,
    _stop: watch::Sender<bool>,
}

impl RunningScheduler {
    fn open() -> RunningScheduler {
        let clock = Clock::simulated(noon());
        let sqs = Sqs::open(None).unwrap();
        sqs.set_clock(clock.clone());
        for name in ["due", "dead"] {
            sqs.declare(Queue {
                name: name.to_owned(),
                visibility_timeout_s: 30,
                retention_s: 345_600,
                delay_s: 0,
                redrive: None,
            })
            .unwrap();
        }
        let faults = Faults::default();
        let dynamodb = DynamoDb::without_server(&[]).unwrap();
        let outside = Outside::open(None).unwrap();
        let aws = Aws::new(dynamodb, sqs, outside, &template(), noon());
        let aws = aws.with_clock(clock.clone()).with_faults(faults.clone());
        let aws = Arc::new(aws);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&aws).run_scheduler(stopped));
        RunningScheduler {
            aws,
            clock,
            faults,
            _stop: stop,
        }
    }

    fn create(&self, request: &Value) {
        let created = self
            .aws
            .scheduler
            .handle("CreateSchedule", request, self.clock.now());
        created.unwrap();
    }

    async fn received(&self, queue: &str) -> Vec<Received> {
        self.aws.sqs.receive(queue, 100, Duration::ZERO).await
    }

    fn target_is_down(&self) -> Fault {
        Fault::calls(Service::Sqs, "SendMessage", CallMode::Fail).by("scheduler")
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_target_is_called_once_when_its_time_has_come() {
    let running = RunningScheduler::open();
    running.create(&asked("one", "2026-11-28T14:00:00"));
    let kept = with(
        asked("two", "2026-11-28T14:00:00"),
        "/ActionAfterCompletion",
        json!("NONE"),
    );
    running.create(&kept);
    running.create(&asked("late", "2026-11-29T14:00:00"));
    tokio::time::sleep(HOUR + HOUR / 2).await;
    assert!(running.received("due").await.is_empty());
    assert!(running.aws.scheduler.is_idle(running.clock.now(), true));
    // The test moves the clock past the schedule's time instead of waiting.
    running.clock.advance(HOUR);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let received = running.received("due").await;
    let mut bodies: Vec<_> = received.iter().map(|it| &*it.body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["input of one", "input of two"]);
    let left = running.aws.scheduler.all();
    let left: Vec<_> = left
        .iter()
        .map(|scheduled| (&*scheduled.name, scheduled.next_at.is_some()))
        .collect();
    assert_eq!(left, [("late", true), ("two", false)]);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(
        running.aws.sqs.counts()["due"].visible,
        2,
        "those of before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_is_called_again_and_then_gets_its_message_once() {
    let running = RunningScheduler::open();
    running.faults.add(running.target_is_down().times(3));
    running.create(&asked("one", "2026-11-28T14:00:00"));
    tokio::time::sleep(2 * HOUR + Duration::from_secs(5)).await;
    assert!(running.received("due").await.is_empty());
    assert!(!running.aws.scheduler.is_idle(running.clock.now(), true));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(running.received("due").await.len(), 1);
    assert!(running.received("dead").await.is_empty());
    assert!(running.aws.scheduler.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_its_target_does_not_take_goes_to_the_dead_letter_queue() {
    let running = RunningScheduler::open();
    running.faults.add(running.target_is_down());
    running.create(&asked("one", "2026-11-28T14:00:00"));
    let old = with(
        asked("two", "2026-11-28T14:00:00"),
        "/Target/RetryPolicy",
        json!({"MaximumEventAgeInSeconds": 60}),
    );
    running.create(&old);
    tokio::time::sleep(3 * HOUR).await;
    let mut letters = running.received("dead").await;
    letters.sort_by(|left, right| left.body.cmp(&right.body));
    let said: Vec<_> = letters
        .iter()
        .map(|letter| {
            let attribute = |name: &str| {
                let value = &letter.message_attributes[name]["stringValue"];
                value.as_str().unwrap_or_default().to_owned()
            };
            (
                letter.body.clone(),
                attribute("RETRY_ATTEMPTS"),
                attribute("EXHAUSTED_RETRY_CONDITION"),
                attribute("ERROR_CODE"),
                attribute("SCHEDULED_TIME"),
            )
        })
        .collect();
    let text = |texts: [&str; 5]| {
        let [body, attempts, condition, code, at] = texts.map(str::to_owned);
        (body, attempts, condition, code, at)
    };
    let (code, at) = ("ServiceUnavailable", "2026-11-28T14:00:00Z");
    assert_eq!(
        said,
        [
            text(["input of one", "3", "MaximumRetryAttempts", code, at]),
            text(["input of two", "5", "MaximumEventAgeInSeconds", code, at]),
        ]
    );
    assert!(running.received("due").await.is_empty());
    assert!(running.aws.scheduler.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_missing_or_forbidden_is_not_called_again() {
    let running = RunningScheduler::open();
    let gone = with(
        asked("one", "2026-11-28T14:00:00"),
        "/Target/Arn",
        json!(arn("sqs", "gone")),
    );
    running.create(&gone);
    let narrow = json!("arn:aws:iam::000000000000:role/narrow");
    running.create(&with(
        asked("two", "2026-11-28T14:00:00"),
        "/Target/RoleArn",
        narrow,
    ));
    tokio::time::sleep(2 * HOUR + Duration::from_secs(1)).await;
    let letters = running.received("dead").await;
    let attribute =
        |letter: &Received, name: &str| letter.message_attributes[name]["stringValue"].clone();
    let codes: BTreeSet<_> = letters
        .iter()
        .map(|it| attribute(it, "ERROR_CODE").as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
    assert!(codes.contains("AccessDeniedException"), "{codes:?}");
    for letter in &letters {
        assert_eq!(attribute(letter, "RETRY_ATTEMPTS"), "0");
        assert!(attribute(letter, "EXHAUSTED_RETRY_CONDITION").is_null());
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_answer_is_lost_is_called_twice() {
    let running = RunningScheduler::open();
    let lost = Fault::calls(Service::Sqs, "SendMessage", CallMode::LoseResponse);
    running.faults.add(lost.by("scheduler").once());
    running.create(&asked("one", "2026-11-28T14:00:00"));
    tokio::time::sleep(2 * HOUR + Duration::from_secs(10)).await;
    assert_eq!(running.received("due").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_deleted_before_its_time_calls_nothing() {
    let running = RunningScheduler::open();
    running.create(&asked("one", "2026-11-28T14:00:00"));
    let one = json!({"Name": "one", "GroupName": "surveys"});
    running
        .aws
        .scheduler
        .handle("DeleteSchedule", &one, noon())
        .unwrap();
    tokio::time::sleep(3 * HOUR).await;
    assert!(running.received("due").await.is_empty());
}
