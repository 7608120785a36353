//! Sends many distinct coupons as a provider does: some twice, and each until it gets an answer.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

use crate::http::{Answer, Client, Request};
use crate::send::summary::{Delivery, Summary};
use crate::send::{Draft, parse, write};

/// How many times the command sends one webhook until it gets an answer. A provider retries for
/// days; a person at a terminal does not wait that long.
const ATTEMPTS: usize = 8;

/// Each pause between attempts is twice as long as the one before, up to the longest. The pause
/// leaves out a random part of its second half.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The part of the repeated coupons with both requests under way at the same time.
const TOGETHER: f64 = 0.25;

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) count: u32,
    pub(super) concurrency: usize,
    pub(super) again: Again,
}

/// Which coupons go out twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Again {
    Nothing,
    /// Each coupon, after its answer.
    Each,
    /// Some coupons, at moments that the seed decides.
    Share {
        share: Share,
        seed: u64,
    },
}

/// A part of a count, as `10%` or `0.1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(f64);

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let number = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().map(|it: f64| it / 100.0),
            None => text.parse(),
        };
        match number {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => bail!("it must be a share of the count, such as 10% or 0.1"),
        }
    }
}

impl Share {
    fn of(self, count: u32) -> usize {
        (f64::from(count) * self.0).round() as usize
    }
}

/// Copies of a draft, each for another coupon.
#[derive(Debug)]
pub(super) struct Run<'a> {
    draft: &'a Draft,
    body: Value,
    /// An id that differs from that of every other run.
    id: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(draft: &'a Draft) -> anyhow::Result<Self> {
        let run = Self {
            draft,
            body: parse(&draft.body).context("--count has to rename each copy")?,
            id: run_id(draft.now),
        };
        run.body(1)?;
        Ok(run)
    }

    /// Text in the key of each of this run's coupons, and in no other run's keys.
    pub(super) fn mark(&self) -> String {
        format!("-{}-", self.id)
    }

    /// The body of one of the run's webhooks.
    pub(super) fn body(&self, index: u32) -> anyhow::Result<Vec<u8>> {
        let mut body = self.body.clone();
        let suffix = format!("{}{index}", self.mark());
        self.draft.sender.rename(&mut body, &suffix)?;
        if !self.draft.one_member {
            self.draft.sender.rename_member(&mut body, &suffix);
        }
        Ok(write(&body))
    }
}

/// Sends everything, and sums up the results.
pub(super) async fn send(client: &Client, run: &Run<'_>, plan: Plan) -> anyhow::Result<Summary> {
    let order = plan.again.order(plan.count);
    let times = if plan.again == Again::Each { 2 } else { 1 };
    let progress = progress_bar(order.len() * times)?;
    let sender = Sender {
        client,
        silent: AtomicBool::new(false),
    };
    let start = Instant::now();
    let deliveries = stream::iter(order).map(|index| {
        let sender = &sender;
        async move {
            let request = run.draft.sign(run.body(index)?);
            let mut deliveries = Vec::with_capacity(times);
            for _ in 0..times {
                let attempts = sender.deliver(&request).await;
                deliveries.push(Delivery { index, attempts });
            }
            anyhow::Ok(deliveries)
        }
    });
    let mut deliveries = deliveries.buffer_unordered(plan.concurrency);
    let mut summary = Summary::new(plan.count, plan.again.seed());
    while let Some(deliveries) = deliveries.next().await {
        for delivery in deliveries? {
            summary.add(delivery);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(summary.after(start.elapsed()))
}

impl Again {
    /// The seed that chooses the webhooks to repeat.
    fn seed(self) -> Option<u64> {
        match self {
            Again::Share { seed, .. } => Some(seed),
            Again::Nothing | Again::Each => None,
        }
    }

    /// The coupons in the order of sending. The second request for a coupon follows at once, so
    /// that both are under way together, or after any later coupon.
    fn order(self, count: u32) -> Vec<u32> {
        let Again::Share { share, seed } = self else {
            return (1..=count).collect();
        };
        let mut random = Rng::with_seed(seed);
        let mut again: Vec<u32> = (1..=count).collect();
        random.shuffle(&mut again);
        again.truncate(share.of(count));
        let mut order: Vec<_> = (1..=count).map(|index| (index, false, index)).collect();
        for index in again {
            let behind = match random.f64() < TOGETHER {
                true => index,
                false => random.u32(index..=count),
            };
            order.push((behind, true, index));
        }
        order.sort_unstable();
        order.into_iter().map(|(_, _, index)| index).collect()
    }
}

struct Sender<'a> {
    client: &'a Client,
    /// Set when all attempts of one webhook got no answer: the system has gone. Until something
    /// answers, the other webhooks get fewer attempts.
    silent: AtomicBool,
}

impl Sender<'_> {
    /// Sends a webhook until the answer is anything but a failure of the system.
    async fn deliver(&self, request: &Request) -> Vec<anyhow::Result<Answer>> {
        let mut attempts = Vec::with_capacity(1);
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.client.post(request).await;
            let answered = answer.is_ok();
            let is_final = answer.as_ref().is_ok_and(|it| !it.status.is_server_error());
            attempts.push(answer);
            if answered {
                self.silent.store(false, Ordering::Relaxed);
            } else if attempts.len() == ATTEMPTS {
                self.silent.store(true, Ordering::Relaxed);
            }
            let is_last = attempts.len() == ATTEMPTS || self.silent.load(Ordering::Relaxed);
            if is_final || is_last {
                return attempts;
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

/// Short text that differs between runs: milliseconds since 1970 in base 36.
fn run_id(now: Timestamp) -> String {
    let mut rest = now.as_millisecond().unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize] as char);
        rest /= 36;
    }
    digits.iter().rev().collect()
}

/// Shows nothing if standard error is no terminal.
fn progress_bar(length: usize) -> anyhow::Result<ProgressBar> {
    let style = "{wide_bar} {pos}/{len}, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).context("the progress bar's template")?;
    Ok(ProgressBar::new(length as u64).with_style(style))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use http::Uri;

    use super::*;
    use crate::http::parse_url;

    #[test]
    fn a_share_is_written_in_percent_or_as_a_number() {
        let share = |text: &str| text.parse::<Share>();
        assert_eq!(share("10%").unwrap(), share("0.1").unwrap());
        assert_eq!(share("2.5 %").unwrap().of(1_000), 25);
        assert_eq!(share("0").unwrap().of(20_000), 0);
        assert_eq!(share("1").unwrap().of(20_000), 20_000);
        for text in ["", "%", "10", "-1%", "101%", "NaN", "a tenth"] {
            let error = share(text).unwrap_err().to_string();
            assert!(error.contains("10%"), "{text}: {error}");
        }
    }

    fn order(count: u32, share: &str, seed: u64) -> Vec<u32> {
        let share = share.parse().unwrap();
        Again::Share { share, seed }.order(count)
    }

    #[test]
    fn every_coupon_is_sent_and_a_share_of_them_twice() {
        let order = order(1_000, "10%", 7);
        assert_eq!(order.len(), 1_100);
        let mut times = BTreeMap::<u32, Vec<usize>>::new();
        for (position, index) in order.iter().enumerate() {
            times.entry(*index).or_default().push(position);
        }
        assert_eq!(times.len(), 1_000);
        let twice: Vec<_> = times.values().filter(|it| it.len() == 2).collect();
        assert_eq!(twice.len(), 100);
        let together = twice
            .iter()
            .filter(|positions| positions[1] - positions[0] == 1)
            .count();
        assert!((10..=50).contains(&together), "{together}");
        let first: Vec<_> = times.values().map(|it| it[0]).collect();
        assert!(first.is_sorted(), "a first sending waits for a second");
    }

    #[test]
    fn a_seed_decides_what_is_sent_again_and_when() {
        assert_eq!(order(500, "20%", 7), order(500, "20%", 7));
        assert_ne!(order(500, "20%", 7), order(500, "20%", 8));
        assert_eq!(order(3, "0%", 7), [1, 2, 3]);
        assert_eq!(order(1, "100%", 7), [1, 1]);
    }

    /// Takes one connection after another, and writes one of these answers to each. An empty answer
    /// closes the connection. After the last answer nothing listens any more.
    fn answering(answers: &'static [&'static str]) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"{}") {
                    let mut buffer = [0; 1024];
                    let length = stream.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..length]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        parse_url(&url).unwrap()
    }

    const CRASHED: &str =
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const REFUSED: &str =
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    /// The statuses of one webhook's attempts; 0 means no answer.
    async fn attempts(url: Uri, silent: bool) -> Vec<u16> {
        let request = Request {
            url,
            headers: Vec::new(),
            body: b"{}".to_vec(),
        };
        let sender = Sender {
            client: &Client::of(&request.url).unwrap(),
            silent: AtomicBool::new(silent),
        };
        let attempts = sender.deliver(&request).await.into_iter();
        attempts
            .map(|answer| answer.map_or(0, |answer| answer.status.as_u16()))
            .collect()
    }

    #[tokio::test]
    async fn a_failed_webhook_is_sent_until_it_is_answered() {
        let url = answering(&["", CRASHED, TAKEN]);
        assert_eq!(attempts(url, false).await, [0, 500, 200]);
    }

    #[tokio::test]
    async fn a_refused_webhook_is_not_sent_again() {
        assert_eq!(attempts(answering(&[REFUSED]), false).await, [401]);
    }

    #[tokio::test]
    async fn a_webhook_is_not_repeated_once_the_system_has_gone() {
        assert_eq!(attempts(answering(&[]), true).await, [0]);
        // The first answer shows that the system is back.
        let url = answering(&[CRASHED, TAKEN]);
        assert_eq!(attempts(url, true).await, [500, 200]);
    }

    #[test]
    fn two_runs_have_different_ids() {
        let at = |ms| run_id(Timestamp::from_millisecond(ms).unwrap());
        assert_eq!(at(0), "0");
        assert_eq!(at(36 * 36 + 1), "101");
        assert_ne!(at(1_900_000_000_000), at(1_900_000_000_001));
    }
}
