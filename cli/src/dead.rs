//! `coupons dead`: lists what the dead-letter queues hold, and why.

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
    QueueAttributeName,
};
use jiff::Timestamp;
use serde::Serialize;
use webhooks::dead_letter::{event_of, reason};
use webhooks::life::Record;
use webhooks::worker::REASON;

use crate::lives::records;
use crate::output::{harmless, say, say_json};
use crate::target::{self, DeadLetterQueue, Target};

/// How long a look hides the messages from other receivers, in seconds. If this program dies
/// meanwhile, SQS shows the messages again after this time.
const LOOK_S: i32 = 30;

/// The attributes in which EventBridge Scheduler says why it could not send a message.
const ERROR_CODE: &str = "ERROR_CODE";
const ERROR_MESSAGE: &str = "ERROR_MESSAGE";

/// SQS receives and changes at most ten messages in one call.
const BATCH: usize = 10;

/// List what the dead-letter queues hold, and why. The messages stay in the queues.
///
/// Each look raises a message's receive count by one, and hides the message from other receivers
/// while it lasts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A task such as delivery, or its dead-letter queue; all queues by default
    queue: Option<String>,
    /// How many messages of a queue to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON: an array of messages
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

/// A message whose task gave up.
#[derive(Debug, PartialEq, Serialize)]
struct Dead {
    queue: String,
    message: String,
    /// The event that the message is about, if its body is readable.
    event: Option<String>,
    /// How often SQS delivered the message in its whole life; looks count too.
    times_received: Option<u32>,
    sent_at: Option<Timestamp>,
    age_s: Option<i64>,
    bytes: usize,
    reason: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let queues = target
        .dead_letter_queues(arguments.queue.as_deref())
        .await?;
    let limit = arguments.limit as usize;
    let mut all = Vec::new();
    for queue in &queues {
        let messages = look(&target, queue, limit).await?;
        let dead = explain(&target, queue, &messages, Timestamp::now()).await?;
        let count = count(&target, queue).await?.max(dead.len());
        if count > dead.len() {
            eprintln!(
                "note: {} of about {count} messages of {}; --limit shows more",
                dead.len(),
                queue.name
            );
        }
        if !arguments.json {
            say(&harmless(&describe(queue, &dead)))?;
        }
        all.extend(dead);
    }
    if arguments.json {
        say_json(&all)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Receives up to `limit` messages, and makes all of them visible again.
async fn look(
    target: &Target,
    queue: &DeadLetterQueue,
    limit: usize,
) -> anyhow::Result<Vec<Message>> {
    let mut messages = Vec::new();
    let received = receive(target, queue, limit, &mut messages).await;
    let given_back = give_back(target, queue, &messages).await;
    received.with_context(|| format!("receiving from {}", queue.name))?;
    given_back.with_context(|| {
        format!(
            "making the messages of {} visible again: SQS does so itself in {LOOK_S} s",
            queue.name
        )
    })?;
    Ok(messages)
}

async fn receive(
    target: &Target,
    queue: &DeadLetterQueue,
    limit: usize,
    messages: &mut Vec<Message>,
) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let began = std::time::Instant::now();
    while messages.len() < limit {
        let batch = BATCH.min(limit - messages.len());
        let answer = target
            .sqs
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(batch as i32)
            .visibility_timeout(LOOK_S)
            // A wait makes SQS ask all of its servers.
            .wait_time_seconds(1)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names(REASON)
            .message_attribute_names(ERROR_CODE)
            .message_attribute_names(ERROR_MESSAGE)
            .send()
            .await
            .map_err(|error| target.explain(error))?;
        let received = answer.messages.unwrap_or_default();
        let all_seen = received
            .iter()
            .all(|message| seen.contains(&message.message_id));
        for message in received {
            if seen.insert(message.message_id.clone()) {
                messages.push(message);
            }
        }
        // After a longer time, the first messages would be visible again and arrive twice.
        if all_seen || began.elapsed() > Duration::from_secs(LOOK_S as u64 / 2) {
            break;
        }
    }
    Ok(())
}

async fn give_back(
    target: &Target,
    queue: &DeadLetterQueue,
    messages: &[Message],
) -> anyhow::Result<()> {
    for batch in messages.chunks(BATCH) {
        let entries = batch.iter().enumerate().map(|(index, message)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .set_receipt_handle(message.receipt_handle.clone())
                .visibility_timeout(0)
                .build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        target
            .sqs
            .change_message_visibility_batch()
            .queue_url(&queue.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| target.explain(error))?;
    }
    Ok(())
}

async fn count(target: &Target, queue: &DeadLetterQueue) -> anyhow::Result<usize> {
    let attribute = QueueAttributeName::ApproximateNumberOfMessages;
    let count = target
        .queue_attribute(&queue.name, &queue.url, attribute)
        .await?;
    Ok(count.and_then(|it| it.parse().ok()).unwrap_or_default())
}

/// The messages with their reasons, the oldest first.
async fn explain(
    target: &Target,
    queue: &DeadLetterQueue,
    messages: &[Message],
    now: Timestamp,
) -> anyhow::Result<Vec<Dead>> {
    let mut known: HashMap<String, Vec<Record>> = HashMap::new();
    let mut all = Vec::new();
    for message in messages {
        let body = message.body().unwrap_or_default();
        let (event, mut reason) = match event_of(body) {
            Err(unreadable) => (None, format!("unreadable: {unreadable}")),
            Ok(key) => {
                if !known.contains_key(&key) {
                    known.insert(key.clone(), records(target, &key).await?);
                }
                let reason = reason(&known[&key], &key, &queue.source);
                (Some(key), reason)
            }
        };
        if let Some(said) = said(message) {
            reason = said;
        }
        all.push(Dead::read(queue, message, event, reason, now));
    }
    all.sort_by_key(|dead| dead.sent_at);
    Ok(all)
}

/// The message's own reason. The worker adds it when it gives a message up, and EventBridge
/// Scheduler adds it to a message that it could not send.
fn said(message: &Message) -> Option<String> {
    let attribute = |name: &str| {
        message
            .message_attributes
            .as_ref()?
            .get(name)?
            .string_value()
    };
    if let Some(reason) = attribute(REASON) {
        return Some(reason.to_owned());
    }
    let code = attribute(ERROR_CODE)?;
    let error = attribute(ERROR_MESSAGE).unwrap_or_default();
    Some(format!("its schedule could not send it: {code}: {error}"))
}

impl Dead {
    fn read(
        queue: &DeadLetterQueue,
        message: &Message,
        event: Option<String>,
        reason: String,
        now: Timestamp,
    ) -> Self {
        let attribute = |name| {
            let attributes = message.attributes.as_ref()?;
            attributes.get(&name).map(String::as_str)
        };
        let sent_at = attribute(MessageSystemAttributeName::SentTimestamp)
            .and_then(|ms| ms.parse().ok())
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let times_received = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
        Self {
            queue: queue.name.clone(),
            message: message.message_id().unwrap_or_default().to_owned(),
            event,
            times_received: times_received.and_then(|count| count.parse().ok()),
            sent_at,
            age_s: sent_at.map(|at| now.duration_since(at).as_secs()),
            bytes: message.body().map_or(0, str::len),
            reason,
        }
    }
}

fn describe(queue: &DeadLetterQueue, dead: &[Dead]) -> String {
    let mut text = match dead.len() {
        0 => format!("{}: empty\n", queue.name),
        1 => format!("{}: 1 message\n", queue.name),
        count => format!("{}: {count} messages\n", queue.name),
    };
    for dead in dead {
        let event = dead.event.as_deref().unwrap_or("no event");
        text.push_str(&format!("\n  {}  {event}\n    ", dead.message));
        if let (Some(at), Some(age_s)) = (dead.sent_at, dead.age_s) {
            text.push_str(&format!("sent {at} ({} ago), ", duration(age_s)));
        }
        if let Some(times) = dead.times_received {
            text.push_str(&format!("received {times} times, "));
        }
        text.push_str(&format!("{} bytes\n    {}\n", dead.bytes, dead.reason));
    }
    text
}

/// Two units: `3 d 4 h`, `5 min 6 s`.
fn duration(total_s: i64) -> String {
    let (days, hours) = (total_s / 86_400, total_s / 3_600 % 24);
    let (minutes, seconds) = (total_s / 60 % 60, total_s % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn queue() -> DeadLetterQueue {
        DeadLetterQueue {
            name: "delivery-dead-letter".into(),
            url: "https://sqs/1/dd".into(),
            source: "delivery".into(),
            source_url: "https://sqs/1/d".into(),
            is_of_schedules: false,
        }
    }

    #[test]
    fn a_message_says_why_it_was_given_up() {
        let text = |text: &str| {
            let value = aws_sdk_sqs::types::MessageAttributeValue::builder();
            let value = value.data_type("String").string_value(text);
            value.build().unwrap()
        };
        let message = Message::builder;
        assert_eq!(said(&message().build()), None);
        let worker = message().message_attributes(REASON, text("received 3 times"));
        assert_eq!(said(&worker.build()).as_deref(), Some("received 3 times"));
        let schedule = message()
            .message_attributes(ERROR_CODE, text("AccessDenied"))
            .message_attributes(ERROR_MESSAGE, text("no permission"));
        let expected = "its schedule could not send it: AccessDenied: no permission";
        assert_eq!(said(&schedule.build()).as_deref(), Some(expected));
    }

    #[test]
    fn a_message_is_listed_with_its_age() {
        let message = Message::builder()
            .message_id("id-1")
            .body("{}")
            .attributes(MessageSystemAttributeName::SentTimestamp, "1000000")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "11")
            .build();
        let now = Timestamp::from_second(1_000 + 3_661).unwrap();
        let dead = Dead::read(&queue(), &message, None, "unreadable: x".into(), now);
        assert_snapshot!(describe(&queue(), &[dead]), @"
        delivery-dead-letter: 1 message

          id-1  no event
            sent 1970-01-01T00:16:40Z (1 h 1 min ago), received 11 times, 2 bytes
            unreadable: x
        ");
        assert_eq!(describe(&queue(), &[]), "delivery-dead-letter: empty\n");
    }

    #[test]
    fn a_duration_has_two_units() {
        for (total_s, expected) in [
            (5, "5 s"),
            (65, "1 min 5 s"),
            (7_260, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(total_s), expected);
        }
    }
}
