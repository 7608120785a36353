//! The loop of a task function over a batch of messages: each is worked on by itself, and fails by itself.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::task::Message;
use crate::telemetry::{self, Count, count};

/// What is left of an invocation's time when its unfinished messages are given back.
const MARGIN: Duration = Duration::from_secs(1);

/// Works on messages until Lambda ends the function. `handle` gets a message and the end of its time, when a lease
/// must end; it returns an error for what should be tried again.
pub async fn run<H, F>(handle: H) -> anyhow::Result<()>
where
    H: Fn(Message<'static>, Timestamp) -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    telemetry::start();
    let handle = Arc::new(handle);
    lambda_runtime::run(service_fn(|invocation: LambdaEvent<SqsEvent>| {
        let handle = Arc::clone(&handle);
        async move {
            let deadline = invocation.context.deadline();
            let failed = work(handle, invocation.payload.records, deadline).await;
            Ok::<_, lambda_runtime::Error>(report(failed))
        }
    }))
    .await
    .map_err(|error| anyhow::anyhow!("the Lambda runtime ended: {error}"))
}

/// Works on all messages side by side. Returns the ids of those that failed or ran out of time.
async fn work<H, F>(handle: Arc<H>, messages: Vec<SqsMessage>, deadline: SystemTime) -> Vec<String>
where
    H: Fn(Message<'static>, Timestamp) -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let left = deadline
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let give_back_at = Instant::now() + left.saturating_sub(MARGIN);
    let lease_until = Timestamp::try_from(deadline).unwrap_or(Timestamp::MAX);

    let mut unfinished: Vec<String> = Vec::with_capacity(messages.len());
    let mut running = JoinSet::new();
    for message in messages {
        let id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let handle = Arc::clone(&handle);
        unfinished.push(id.clone());
        // A task of its own, so that a panic is its own too.
        running.spawn(async move {
            let done = match Message::read(&body) {
                Ok(message) => {
                    let key = message.event.key.to_string();
                    let done = handle(message, lease_until).await;
                    done.inspect_err(|error| {
                        tracing::warn!(message.id = id, event.key = key, "Try again: {error:#}");
                    })
                    .is_ok()
                }
                Err(unreadable) => {
                    tracing::error!(message.id = id, "Unreadable: {unreadable}");
                    false
                }
            };
            (id, done)
        });
    }
    while let Ok(Some(finished)) = tokio::time::timeout_at(give_back_at, running.join_next()).await
    {
        match finished {
            Ok((id, true)) => {
                count(Count::TaskDone);
                unfinished.swap_remove(
                    unfinished
                        .iter()
                        .position(|other| *other == id)
                        .expect("every message that runs is listed"),
                );
            }
            Ok((_, false)) => count(Count::TaskFailed),
            Err(panic) => {
                count(Count::TaskFailed);
                tracing::error!("A message was given back: {panic}");
            }
        }
    }
    if !running.is_empty() {
        tracing::warn!("{} messages were given back: out of time", running.len());
    }
    unfinished
}

fn report(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKey, Fact, Member, Redemption, Reward};

    fn body(code: &str) -> String {
        let event = Event {
            key: EventKey::redeemed("zupy", "comp", code),
            provider: "zupy".into(),
            tenant: "comp".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            sandbox: false,
            member: Member {
                id: "ZP-1".into(),
                name: None,
                email: None,
                phone: None,
                tier: None,
            },
            fact: Fact::Redeemed(Redemption {
                coupon_code: code.into(),
                reward: Reward::default(),
                points_spent: None,
                new_balance: None,
                expires_at: None,
                method: None,
                discount: None,
            }),
        };
        Message::new(&event, Timestamp::UNIX_EPOCH, None).to_body()
    }

    /// Works on messages whose ids are their coupons' codes; which are given back, within 2 s?
    async fn check(codes: &[&str], expected: &[&str]) {
        async fn handle(message: Message<'static>, _: Timestamp) -> anyhow::Result<()> {
            match message.event.fact.coupon_code() {
                "fails" => anyhow::bail!("no"),
                "panics" => panic!("on purpose"),
                "hangs" => std::future::pending().await,
                _ => Ok(()),
            }
        }
        let messages = codes.iter().map(|&code| {
            let mut message = SqsMessage::default();
            message.message_id = Some(code.into());
            message.body = Some(match code {
                "unreadable" => "{\"version\": 1, \"event\": 5}".into(),
                "newer" => body("x").replace("\"version\":1", "\"version\":2"),
                _ => body(code),
            });
            message
        });
        let deadline = SystemTime::now() + MARGIN + Duration::from_millis(300);
        let mut failed = work(Arc::new(handle), messages.collect(), deadline).await;
        failed.sort();
        assert_eq!(failed, expected);
    }

    #[tokio::test]
    async fn each_message_fails_by_itself() {
        check(&["a", "fails", "b", "panics", "c"], &["fails", "panics"]).await;
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_read_is_given_back() {
        check(&["unreadable", "a", "newer"], &["newer", "unreadable"]).await;
    }

    #[tokio::test]
    async fn what_is_unfinished_near_the_deadline_is_given_back() {
        check(&["a", "hangs", "b"], &["hangs"]).await;
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
}
