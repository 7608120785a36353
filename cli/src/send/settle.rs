//! The controls of a local system: waits until the system has settled, and reads the messages that
//! it sent outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::{Answer, Client, origin, parse_url};
use crate::send::judge::Messages;
use crate::target::DEAD_LETTER;

/// The wait ends when nothing has moved for this long. A dead worker holds its lease for 30 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// Before each hurry, a pause twice as long as the one before, up to the longest: each retry counts
/// towards the dead-letter queue.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long one request waits for the system to be idle, in seconds.
const IDLE_TIMEOUT_S: u32 = 10;

/// The function that sends what SQS did not take.
const OUTBOX: &str = "outbox";

/// A local system, named by its gateway.
#[derive(Debug)]
pub(crate) struct Local {
    client: Client,
    /// For instance `http://127.0.0.1:3000`.
    pub(super) gateway: String,
}

/// The messages of a queue.
#[derive(Debug, Deserialize)]
struct Counts {
    visible: u64,
    in_flight: u64,
    delayed: u64,
}

#[derive(Debug, Deserialize)]
struct Idle {
    queues: BTreeMap<String, Counts>,
}

impl Local {
    /// The local system behind a URL, or `None` if something else answers there.
    ///
    /// # Errors
    ///
    /// Nothing answers.
    pub(crate) async fn behind(url: &Uri) -> anyhow::Result<Option<Self>> {
        let local = Self {
            client: Client::of(url)?,
            gateway: origin(url),
        };
        let answer = local.ask(Method::GET, "/_local/queues").await?;
        let queues = serde_json::from_slice::<BTreeMap<String, Counts>>(&answer.body);
        let is_local = answer.status == StatusCode::OK && queues.is_ok();
        Ok(is_local.then_some(local))
    }

    /// Waits until no function runs and no queue with a function holds a message, without the
    /// pauses between retries. Returns how many messages still wait because nothing moved for too
    /// long.
    pub(crate) async fn settle(&self) -> anyhow::Result<u64> {
        let mut least = u64::MAX;
        let mut moved_at = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let path = format!("/_local/idle?timeout_s={IDLE_TIMEOUT_S}");
            let answer = self.ask(Method::GET, &path).await?;
            let idle: Idle = read(&answer, &path)?;
            let waiting = waiting(&idle.queues);
            if waiting == 0 && answer.status == StatusCode::OK {
                return Ok(0);
            }
            if waiting < least {
                least = waiting;
                moved_at = Instant::now();
                pause = FIRST_PAUSE;
            } else if moved_at.elapsed() > PATIENCE {
                return Ok(waiting);
            }
            if answer.status == StatusCode::OK {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
                self.hurry(idle.queues.keys()).await?;
            }
        }
    }

    async fn hurry(&self, queues: impl Iterator<Item = &String>) -> anyhow::Result<()> {
        for queue in queues.filter(|queue| !queue.ends_with(DEAD_LETTER)) {
            self.tell(&format!("/_local/queues/{queue}/hurry")).await?;
        }
        Ok(())
    }

    /// Runs the outbox now, and ignores its result: a fault may make it fail.
    pub(super) async fn run_outbox(&self) -> anyhow::Result<()> {
        self.tell(&format!("/_local/schedules/{OUTBOX}")).await
    }

    /// The messages sent outside for the events with the mark in their key.
    pub(super) async fn messages(&self, mark: &str) -> anyhow::Result<Messages> {
        #[derive(Deserialize)]
        struct Message {
            channel: String,
            event: Option<String>,
        }
        let path = "/_local/messages";
        let answer = self.ask(Method::GET, path).await?;
        let mut messages = Messages::new();
        for message in read::<Vec<Message>>(&answer, path)? {
            if let Some(event) = message.event.filter(|event| event.contains(mark)) {
                *messages.entry((message.channel, event)).or_default() += 1;
            }
        }
        Ok(messages)
    }

    /// Every current fault, with how often it occurred.
    pub(super) async fn faults(&self) -> anyhow::Result<Vec<Value>> {
        let path = "/_local/faults";
        read(&self.ask(Method::GET, path).await?, path)
    }

    async fn tell(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.ask(Method::POST, path).await?;
        if !answer.status.is_success() {
            bail!("{} answers {path} with {}", self.gateway, answer.status);
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str) -> anyhow::Result<Answer> {
        let url = parse_url(&format!("{}{path}", self.gateway))?;
        self.client.ask(method, &url).await
    }
}

/// Messages that a function will get, now or later.
fn waiting(queues: &BTreeMap<String, Counts>) -> u64 {
    let queues = queues.iter();
    queues
        .filter(|(name, _)| !name.ends_with(DEAD_LETTER))
        .map(|(_, counts)| counts.visible + counts.in_flight + counts.delayed)
        .sum()
}

fn read<T: DeserializeOwned>(answer: &Answer, path: &str) -> anyhow::Result<T> {
    serde_json::from_slice(&answer.body)
        .with_context(|| format!("reading the local system's answer at {path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_that_no_function_gets_do_not_count_as_waiting() {
        let counts = |visible| json!({"visible": visible, "in_flight": 1, "delayed": 2});
        let queues = json!({"delivery": counts(3), "delivery-dead-letter": counts(100)});
        let queues: BTreeMap<String, Counts> = serde_json::from_value(queues).unwrap();
        assert_eq!(waiting(&queues), 6);
    }
}
