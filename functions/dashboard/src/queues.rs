//! Reads the state of the queues, and the messages in their dead-letter queues, for the person on
//! call.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
    QueueAttributeName,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use reporting::Sources;
use serde_json::Value;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::dead_letter::{event_of, reason};
use webhooks::life::Life;
use webhooks::worker::REASON;

/// How many queues the function asks at the same time.
const CONCURRENCY: usize = 8;

/// The most messages of a dead-letter queue that a page shows. SQS returns at most ten at a time.
pub(crate) const LETTERS_MAX: i32 = 10;

/// How long a read hides dead letters from other readers, in seconds. The page gives them back at
/// once. If the function dies meanwhile, the messages come back after this time.
const LOOK_S: i32 = 5;

/// The ending of the queue's name for messages that EventBridge Scheduler could not send. This
/// dead-letter queue serves no queue.
const OF_SCHEDULES: &str = "-dead-letter";

/// The attribute that holds EventBridge Scheduler's reason.
const ERROR_CODE: &str = "ERROR_CODE";

/// The longest time that a read waits until SQS has asked all of its servers, in seconds.
const WAIT_S: i32 = 1;

/// The queues of the system.
#[derive(Debug)]
pub(crate) struct Queues {
    client: Client,
    /// The URLs by the queues' names: `work`, or a function's name.
    urls: BTreeMap<String, String>,
}

/// The state of a queue. SQS's numbers are approximate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) queue: String,
    pub(crate) counts: Counts,
    /// The dead letters.
    pub(crate) dead: Counts,
    /// Some of the dead letters, the oldest first.
    pub(crate) letters: Vec<Letter>,
}

/// How many messages a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter {
    /// The message's event, if the event's key is readable.
    pub(crate) event: Option<String>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) reason: String,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

impl Queues {
    /// `QUEUE_URLS` names each queue: `work=https://...,delivery=https://...`.
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let text = environment.text("QUEUE_URLS");
        let urls = text.split(',').filter_map(|it| it.trim().split_once('='));
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            urls: urls
                .map(|(name, url)| (name.to_owned(), url.to_owned()))
                .collect(),
        }
    }

    /// All queues, by name.
    ///
    /// # Errors
    /// SQS does not answer, or the ledger with the reasons does not.
    pub(crate) async fn standing(
        &self,
        sources: &Sources,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Standing>> {
        // Owned, because the compiler cannot follow a reference into the stream.
        let queues: Vec<_> = self.urls.clone().into_iter().collect();
        let queues = stream::iter(queues);
        let standing = queues.map(|(name, url)| async move {
            let read = self.standing_of(sources, &name, &url, now).await;
            read.with_context(|| format!("looking at the queue {name}"))
        });
        standing.buffered(CONCURRENCY).try_collect().await
    }

    async fn standing_of(
        &self,
        sources: &Sources,
        name: &str,
        url: &str,
        now: Timestamp,
    ) -> anyhow::Result<Standing> {
        let (counts, policy) = self.attributes(url).await?;
        if let Some(name) = name.strip_suffix(OF_SCHEDULES) {
            let letters = match counts.visible {
                0 => Vec::new(),
                _ => self.letters(sources, name, url, now).await?,
            };
            return Ok(Standing {
                queue: name.to_owned(),
                counts: Counts::default(),
                dead: counts,
                letters,
            });
        }
        let (dead, letters) = match policy {
            None => (Counts::default(), Vec::new()),
            Some(policy) => {
                let dead_url = dead_letter_url(url, &policy)?;
                let (dead, _) = self.attributes(&dead_url).await?;
                let letters = match dead.visible {
                    0 => Vec::new(),
                    _ => self.letters(sources, name, &dead_url, now).await?,
                };
                (dead, letters)
            }
        };
        Ok(Standing {
            queue: name.to_owned(),
            counts,
            dead,
            letters,
        })
    }

    /// A queue's counts, and its redrive policy.
    async fn attributes(&self, url: &str) -> anyhow::Result<(Counts, Option<String>)> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::RedrivePolicy,
        ];
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await?;
        let mut attributes = answer.attributes.unwrap_or_default();
        let number = |name: &QueueAttributeName| {
            let value = attributes.get(name).and_then(|it| it.parse().ok());
            value.unwrap_or_default()
        };
        let [visible, in_flight, delayed] = [&names[0], &names[1], &names[2]].map(number);
        let counts = Counts {
            visible,
            in_flight,
            delayed,
        };
        Ok((counts, attributes.remove(&names[3])))
    }

    /// Reads some messages of a dead-letter queue with their reasons, and gives all of them back.
    async fn letters(
        &self,
        sources: &Sources,
        queue: &str,
        url: &str,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Letter>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(LETTERS_MAX)
            .visibility_timeout(LOOK_S)
            .wait_time_seconds(WAIT_S)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names(REASON)
            .message_attribute_names(ERROR_CODE)
            .send()
            .await?;
        let messages = answer.messages.unwrap_or_default();
        self.give_back(url, &messages).await;
        let letters = stream::iter(messages).map(|message| letter(sources, queue, message, now));
        let letters: Vec<_> = letters.buffered(CONCURRENCY).try_collect().await?;
        let mut letters: Vec<Letter> = letters;
        letters.sort_by_key(|it| it.sent_at);
        Ok(letters)
    }

    /// Gives messages back. If that fails, the messages come back a little later, and none is lost.
    async fn give_back(&self, url: &str, messages: &[Message]) {
        let entries = messages.iter().enumerate().filter_map(|(index, message)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .set_receipt_handle(message.receipt_handle.clone())
                .visibility_timeout(0);
            entry.build().ok()
        });
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() {
            return;
        }
        let given_back = self
            .client
            .change_message_visibility_batch()
            .queue_url(url)
            .set_entries(Some(entries))
            .send();
        let given_back = tokio::time::timeout(Duration::from_secs(3), given_back).await;
        if !matches!(given_back, Ok(Ok(_))) {
            tracing::warn!("Dead letters that this page has read come back in {LOOK_S} s");
        }
    }
}

/// The URL of a queue's dead-letter queue. The template puts both into one account and Region.
fn dead_letter_url(url: &str, policy: &str) -> anyhow::Result<String> {
    let policy: Value = serde_json::from_str(policy).context("a redrive policy that is no JSON")?;
    let arn = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
    let (Some((_, name)), Some((place, _))) = (arn.rsplit_once(':'), url.rsplit_once('/')) else {
        bail!("a redrive policy that names no queue");
    };
    Ok(format!("{place}/{name}"))
}

async fn letter(
    sources: &Sources,
    queue: &str,
    message: Message,
    now: Timestamp,
) -> anyhow::Result<Letter> {
    let sent_at = message.attributes.as_ref().and_then(|all| {
        let sent_at = all.get(&MessageSystemAttributeName::SentTimestamp)?;
        Timestamp::from_millisecond(sent_at.parse().ok()?).ok()
    });
    let event = event_of(message.body().unwrap_or_default());
    let attributes = message.message_attributes.as_ref();
    let mut names = [REASON, ERROR_CODE].into_iter();
    let said = names.find_map(|name| attributes?.get(name)?.string_value());
    let reason = match (said, &event) {
        (Some(said), _) => said.to_owned(),
        (None, Err(unreadable)) => format!("unreadable: {unreadable}"),
        (None, Ok(key)) => match key.split_once('/') {
            None => String::new(),
            Some((coupon, entry)) => {
                let beneath = format!("{entry}/");
                let rows = sources.ledger.rows_of(coupon, &beneath, now).await?;
                let life = Life::read(coupon.to_owned(), &rows);
                reason(&life.tasks, key, queue)
            }
        },
    };
    Ok(Letter {
        event: event.ok(),
        sent_at,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_queue_is_beside_its_queue() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:sa-east-1:123456789012:app-DeliveryDead-1","maxReceiveCount":"10"}"#;
        let url = "https://sqs.sa-east-1.amazonaws.com/123456789012/app-Delivery-1";
        assert_eq!(
            dead_letter_url(url, policy).unwrap(),
            "https://sqs.sa-east-1.amazonaws.com/123456789012/app-DeliveryDead-1"
        );
        assert!(dead_letter_url(url, "{}").is_err());
        assert!(dead_letter_url(url, "no JSON").is_err());
    }
}
