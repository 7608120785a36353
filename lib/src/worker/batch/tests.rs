use super::super::{OneByOne, Work};
use super::*;
use crate::event::{Envelope, Event, EventKey, Fact, Member, Redemption};
use crate::task::Message;

fn body(code: &str) -> String {
    let event = Event {
        key: EventKey::redeemed("zupy", "comp", code),
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: Timestamp::UNIX_EPOCH,
        sandbox: false,
        received_at: None,
        member: Member {
            id: "ZP-1".into(),
            ..Member::default()
        },
        fact: Fact::Redeemed(Redemption {
            coupon_code: code.into(),
            ..Redemption::default()
        }),
        envelope: Envelope::default(),
        warnings: Vec::new(),
    };
    Message::new(&event, Timestamp::UNIX_EPOCH, None).to_body()
}

const NOW_S: i64 = 1_800_000_000;

struct AsTheCodeSays;

impl Work for AsTheCodeSays {
    type Message = Message<'static>;

    async fn work(&self, message: Message<'static>, _: Invocation) -> Result<(), Failure> {
        match message.event.fact.coupon_code().unwrap() {
            "fails" => Err(anyhow!("no").into()),
            "never" => Err(Failure::Permanent(anyhow!("never"))),
            "panics" | "panics again" => panic!("on purpose"),
            "hangs" => std::future::pending().await,
            "early" => Err(Failure::Early(Duration::from_secs(60))),
            "outside" | "outside for a day" => Err(Failure::Outside {
                error: anyhow!("busy"),
                after: Some(Duration::from_secs(7)),
            }),
            _ => Ok(()),
        }
    }
}

/// Fails each failed message with its batch size.
struct WithBatchSize;

impl BatchWork for WithBatchSize {
    type Message = Message<'static>;

    async fn work(
        &self,
        messages: Vec<Message<'static>>,
        invocation: Invocation,
    ) -> Vec<Result<(), Failure>> {
        let batch_size = messages.len();
        let alone = |message| AsTheCodeSays.work(message, invocation);
        let outcomes = join_all(messages.into_iter().map(alone)).await;
        let counted = |outcome: Result<(), Failure>| {
            outcome.map_err(|_| Failure::Permanent(anyhow!("one of {batch_size}")))
        };
        outcomes.into_iter().map(counted).collect()
    }
}

/// A batch of messages whose ids are their coupons' codes.
fn batch(codes: &[&str]) -> Batch {
    let messages = codes.iter().map(|&code| {
        let mut message = SqsMessage::default();
        message.message_id = Some(code.into());
        let received = if code == "panics again" { "3" } else { "1" };
        let age_s = match code {
            "outside for a day" => 24 * 3600,
            _ => 24 * 3600 - 60,
        };
        let sent_ms = (NOW_S - age_s) * 1000;
        message.attributes.extend([
            ("ApproximateReceiveCount".to_owned(), received.to_owned()),
            ("SentTimestamp".to_owned(), sent_ms.to_string()),
        ]);
        message.body = Some(match code {
            "unreadable" => "{\"version\": 1, \"event\": 5}".into(),
            "newer" => body("x").replace("\"version\":1", "\"version\":2"),
            "of an unknown kind" => body("x").replace("\"redeemed\":{", "\"donated\":{"),
            "with an unknown field" => body("x").replace("\"sandbox\":", "\"new\":1,\"sandbox\":"),
            _ => body(code),
        });
        message
    });
    let now = Timestamp::from_second(NOW_S).unwrap();
    let ends_at = now + MARGIN + Duration::from_millis(300);
    Batch::new(messages.collect(), Invocation::new(now, ends_at))
}

/// Works on messages one by one, and checks which are left after 0.3 s.
async fn check(codes: &[&str], expected: &[&str]) {
    let mut batch = batch(codes);
    let work = Arc::new(OneByOne(Arc::new(AsTheCodeSays)));
    batch.work_one_by_one(&work, batch.all()).await;
    check_left(batch, expected);
}

/// Works on messages as one, and checks which are left.
async fn check_as_one(codes: &[&str], expected: &[&str]) {
    let mut batch = batch(codes);
    batch
        .work_as_one(&Arc::new(WithBatchSize), batch.all())
        .await;
    check_left(batch, expected);
}

#[track_caller]
fn check_left(batch: Batch, expected: &[&str]) {
    let left = batch.messages.into_iter().flatten();
    let left: Vec<_> = left
        .map(|message| match message.next {
            Next::GivenUp(reason) => format!("{}: {reason}", message.id),
            Next::Early(by) => format!("{} in {by:?}", message.id),
            Next::Again(after, _) if !after.is_zero() => {
                format!("{} after {after:?}", message.id)
            }
            Next::Again(..) => message.id,
        })
        .collect();
    assert_eq!(left.len(), expected.len(), "{left:?}");
    for (left, expected) in left.iter().zip(expected) {
        // A reason may go on. A message without a reason was not given up.
        let is_expected = match expected.contains(": ") {
            true => left.starts_with(expected),
            false => left == expected,
        };
        assert!(is_expected, "{left}, and should be {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_message_fails_by_itself() {
    check(&["a", "fails", "b", "panics", "c"], &["fails", "panics"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_never_be_worked_off_is_given_up() {
    let expected = ["unreadable: the message is not one", "never: never"];
    check(&["unreadable", "a", "never"], &expected).await;
    check(
        &["panics again"],
        &["panics again: panicked; received 3 times"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_outside_system_is_asked_again_for_a_day() {
    check(
        &["early", "outside", "outside for a day"],
        &[
            "early in 60s",
            "outside after 7s",
            "outside for a day: refused for a day: busy",
        ],
    )
    .await;
}

#[test]
fn no_message_is_retried_without_a_pause() {
    let next = |failure: Failure| {
        let given = Given {
            id: "1".into(),
            body: String::new(),
            sent_at: Timestamp::UNIX_EPOCH,
        };
        let now = Timestamp::UNIX_EPOCH;
        given.next("key", failure, Invocation::new(now, now))
    };
    let outside = |after| Failure::Outside {
        error: anyhow!("busy"),
        after,
    };
    for (failure, least_s) in [
        (Failure::Early(Duration::ZERO), 1),
        (Failure::Early(Duration::from_millis(1)), 1),
        (Failure::Early(Duration::from_secs(7)), 7),
        (outside(None), 1),
        (outside(Some(Duration::ZERO)), 1),
        (outside(Some(Duration::from_secs(7))), 7),
        (anyhow!("down").into(), 1),
        (Failure::Permanent(anyhow!("never")), 1),
    ] {
        assert!(next(failure).again_s(1) >= least_s);
    }
}

#[test]
fn a_message_is_given_up_with_a_reason_before_the_queue_moves_it() {
    let check = |received: u32, next: Next, expected: Option<&str>| {
        let mut message = batch(&["a"]).messages.remove(0).unwrap();
        message.received = received;
        message.next = next;
        message.give_up_at_last();
        let reason = match &message.next {
            Next::GivenUp(reason) => Some(reason.as_str()),
            _ => None,
        };
        assert_eq!(reason, expected);
    };
    let down = || Next::Again(Duration::ZERO, "DynamoDB is down".into());
    let early = || Next::Early(Duration::from_secs(60));
    check(989, down(), None);
    check(990, down(), Some("received 990 times; DynamoDB is down"));
    check(989, early(), None);
    check(
        995,
        early(),
        Some("received 995 times; it was too early each time"),
    );
    check(995, Next::GivenUp("never".into()), Some("never"));
}

#[tokio::test(start_paused = true)]
async fn a_message_for_newer_code_waits_for_it() {
    let newer = ["newer", "of an unknown kind", "with an unknown field"];
    check(&[newer[0], newer[1], "a", newer[2]], &newer).await;
}

#[tokio::test(start_paused = true)]
async fn unfinished_messages_are_given_back_near_the_deadline() {
    check(&["a", "hangs", "b"], &["hangs"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_worked_on_as_one_and_each_message_has_its_own_outcome() {
    let expected = ["unreadable: ", "fails: one of 3", "newer"];
    check_as_one(&["a", "unreadable", "fails", "newer", "b"], &expected).await;
    check_as_one(&["unreadable"], &["unreadable: "]).await;
    check_as_one(&["a"], &[]).await;
    check_as_one(&[], &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_makes_its_batch_panic_fails_alone() {
    let codes = ["a", "panics", "fails", "panics again"];
    let expected = [
        "panics",
        "fails: one of 1",
        "panics again: panicked; received 3 times",
    ];
    check_as_one(&codes, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_unfinished_near_the_deadline_is_given_back() {
    check_as_one(&["a", "hangs", "b"], &["a", "hangs", "b"]).await;
    // Each message has its own time when it is worked on alone.
    check_as_one(&["a", "hangs", "panics"], &["hangs", "panics"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_outcome_is_retried() {
    struct Silent;
    impl BatchWork for Silent {
        type Message = Message<'static>;

        async fn work(&self, _: Vec<Message<'static>>, _: Invocation) -> Vec<Result<(), Failure>> {
            vec![Ok(())]
        }
    }
    let mut batch = batch(&["a", "b"]);
    batch.work_as_one(&Arc::new(Silent), batch.all()).await;
    check_left(batch, &["b"]);
}

#[test]
fn failures_are_reported_as_sqs_expects_them() {
    assert_eq!(
        serde_json::to_string(&report(vec!["a".into()])).unwrap(),
        r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#
    );
    assert_eq!(
        serde_json::to_string(&report(Vec::new())).unwrap(),
        r#"{"batchItemFailures":[]}"#
    );
}
