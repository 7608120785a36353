//! Sends messages to one queue, ten in a request.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// The most messages in one request, and the most bytes of all their bodies together.
const ENTRIES_MAX: usize = 10;
const BYTES_MAX: usize = 1024 * 1024;

/// The pauses before the entries that SQS left out are sent again. The client itself repeats whole
/// requests.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_millis(1000),
];

/// The longest message group id that SQS takes.
const GROUP_MAX_CHARACTERS: usize = 128;

/// A message for a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) body: &'a str,
    pub(super) tenant: &'a str,
    pub(super) trace: Option<&'a str>,
}

/// Sends messages to a queue, and retries refused messages until `until`. Returns one outcome for
/// each: a message counts as sent only if SQS says so.
pub(super) async fn send_all(
    client: &Client,
    queue_url: &str,
    entries: &[Entry<'_>],
    until: Instant,
) -> Vec<anyhow::Result<()>> {
    let sizes: Vec<_> = entries.iter().map(|entry| entry.body.len()).collect();
    let requests = pack(&sizes).into_iter();
    let requests =
        requests.map(|request| send_request(client, queue_url, &entries[request], until));
    join_all(requests).await.into_iter().flatten().collect()
}

/// Which entries share a request, in their order.
fn pack(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut requests: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.iter().enumerate() {
        match requests.last_mut() {
            Some(request) if request.len() < ENTRIES_MAX && bytes + size <= BYTES_MAX => {
                request.end = index + 1;
                bytes += size;
            }
            _ => {
                requests.push(index..index + 1);
                bytes = *size;
            }
        }
    }
    requests
}

/// Sends the entries of one request until SQS has taken each, or the pauses or the time are used
/// up.
async fn send_request(
    client: &Client,
    queue_url: &str,
    entries: &[Entry<'_>],
    until: Instant,
) -> Vec<anyhow::Result<()>> {
    let unnamed = || Err(anyhow!("SQS did not name the message"));
    let mut outcomes: Vec<_> = entries.iter().map(|_| unnamed()).collect();
    let mut pauses = PAUSES.iter();
    let mut groups = vec![(0..entries.len()).collect::<Vec<_>>()];
    loop {
        let sends = groups
            .iter()
            .map(|group| try_once(client, queue_url, entries, group));
        let mut alone = Vec::new();
        let mut left = Vec::new();
        for (group, sent) in groups.iter().zip(join_all(sends).await) {
            match sent {
                Ok(of_each) => {
                    for (index, outcome) in group.iter().zip(of_each) {
                        if outcome.is_err() {
                            left.push(*index);
                        }
                        outcomes[*index] = outcome;
                    }
                }
                // One entry may be the reason why SQS refused all.
                Err(refused) if group.len() > 1 && is_about_the_request(&refused) => {
                    alone.extend(group.iter().map(|index| vec![*index]));
                }
                Err(refused) => {
                    let why = format!("{:#}", anyhow!(refused));
                    group
                        .iter()
                        .for_each(|it| outcomes[*it] = Err(anyhow!(why.clone())));
                }
            }
        }
        groups = alone;
        if !left.is_empty()
            && let Some(pause) = pauses.next().filter(|it| Instant::now() + **it < until)
        {
            // Random, so that several senders do not retry at the same moment.
            tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            groups.push(left);
        }
        if groups.is_empty() {
            return outcomes;
        }
    }
}

/// Sends one request for some of the entries. Returns SQS's outcome for each.
async fn try_once(
    client: &Client,
    queue_url: &str,
    entries: &[Entry<'_>],
    group: &[usize],
) -> Result<Vec<anyhow::Result<()>>, SdkError<SendMessageBatchError>> {
    let requested = group
        .iter()
        .map(|index| request_entry(*index, entries[*index]));
    let requested: Result<_, _> = requested.collect();
    let requested = match requested {
        Ok(requested) => requested,
        Err(error) => return Err(SdkError::construction_failure(error)),
    };
    let answer = client
        .send_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(requested))
        .send()
        .await?;
    Ok(group
        .iter()
        .map(|index| outcome_of(*index, &answer))
        .collect())
}

fn request_entry(
    index: usize,
    entry: Entry<'_>,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let mut request = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_group_id(group_id(entry.tenant))
        .message_body(entry.body);
    if let Some(trace) = entry.trace {
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        request = request.message_system_attributes(name, trace_header(trace)?);
    }
    request.build()
}

/// The outcome that an answer names for one entry. If the answer does not name the entry, the entry
/// was not sent.
fn outcome_of(index: usize, answer: &SendMessageBatchOutput) -> anyhow::Result<()> {
    let id = index.to_string();
    if answer.successful().iter().any(|it| it.id() == id) {
        return Ok(());
    }
    let failed = answer.failed().iter().find(|it| it.id() == id);
    let failed = failed.context("SQS did not name the message")?;
    let (code, message) = (failed.code(), failed.message().unwrap_or_default());
    Err(anyhow!("{code} {message}"))
}

/// Whether SQS would refuse the same request again.
fn is_about_the_request(refused: &SdkError<SendMessageBatchError>) -> bool {
    let status = refused.raw_response().map(|it| it.status().as_u16());
    let is_throttled = refused.code().is_some_and(|code| code.contains("Throttl"));
    status.is_some_and(|status| (400..500).contains(&status) && status != 429) && !is_throttled
}

/// The message group of a tenant. Each tenant has its own, so that fair queues let none starve
/// another. If SQS does not take the tenant's name, its hash replaces it.
pub(super) fn group_id(tenant: &str) -> String {
    let fits = tenant.len() <= GROUP_MAX_CHARACTERS && tenant.bytes().all(|b| b.is_ascii_graphic());
    if fits && !tenant.is_empty() {
        return tenant.to_owned();
    }
    hex::encode(Sha256::digest(tenant))
}

pub(super) fn trace_header(
    trace: &str,
) -> Result<MessageSystemAttributeValue, aws_sdk_sqs::error::BuildError> {
    MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(trace)
        .build()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchResultEntry};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenant_is_its_own_message_group_where_sqs_takes_its_name() {
        assert_eq!(group_id("comp_bella_vista"), "comp_bella_vista");
        for odd in ["", "com espaço", "ção", &"x".repeat(129)] {
            let group = group_id(odd);
            assert_eq!(group.len(), 64);
            assert_ne!(group, group_id("another"));
        }
    }

    #[test]
    fn a_message_that_sqs_does_not_name_is_not_sent() {
        let sent = SendMessageBatchResultEntry::builder()
            .id("0")
            .message_id("m")
            .md5_of_message_body("d");
        let failed = BatchResultErrorEntry::builder()
            .id("1")
            .sender_fault(false)
            .code("InternalError");
        let answer = SendMessageBatchOutput::builder()
            .successful(sent.build().unwrap())
            .failed(failed.build().unwrap())
            .build()
            .unwrap();
        assert!(outcome_of(0, &answer).is_ok());
        for (index, expected) in [(1, "InternalError"), (2, "did not name")] {
            let error = outcome_of(index, &answer).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn ten_entries_go_together_as_far_as_a_request_has_room() {
        let quarter = BYTES_MAX / 4;
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![9], vec![1]),
            (vec![9; 21], vec![10, 10, 1]),
            (vec![quarter; 5], vec![4, 1]),
            (vec![quarter + 1; 4], vec![3, 1]),
            (vec![1, BYTES_MAX, 1], vec![1, 1, 1]),
        ] {
            let lengths: Vec<_> = pack(&sizes).iter().map(Range::len).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
        }
    }

    proptest! {
        #[test]
        fn every_entry_goes_with_one_request_that_sqs_takes(
            sizes in prop::collection::vec(0..=BYTES_MAX, 0..60),
        ) {
            let requests = pack(&sizes);
            let indexes: Vec<_> = requests.iter().cloned().flatten().collect();
            prop_assert_eq!(indexes, (0..sizes.len()).collect::<Vec<_>>());
            for request in requests {
                prop_assert!(request.len() <= ENTRIES_MAX);
                prop_assert!(sizes[request].iter().sum::<usize>() <= BYTES_MAX);
            }
        }
    }
}
