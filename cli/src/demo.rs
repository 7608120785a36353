//! `coupons demo`: sends days of believable traffic to the same URLs as a provider.

mod plan;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Uri;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use webhooks::provider::{aghanim, zupy};
use webhooks::verify::Secrets;

use crate::http::{Client, Request, parse_url};
use crate::output::{harmless, say, say_json};
use crate::send::Local;
use crate::target;

use plan::{Door, Plan, Step};

/// Webhooks that are under way at the same time.
const CONCURRENCY: usize = 8;

/// How many times the demo sends a webhook at most, while the answer is a 503.
const ATTEMPTS: usize = 6;

const EXAMPLES: &str = "\
Examples:
  coupons demo
  coupons demo --days 7 --seed 3
  coupons demo --speed 20";

/// Fill the system on this machine with a month of believable traffic, then print where to look.
///
/// Three restaurants and a game redeem and use coupons. The traffic has favourite dishes, lunch and
/// dinner, weekends, duplicates, cancellations, a little fraud, and late events. The same seed on
/// the same day sends the same webhooks.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many days, today included
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    /// Seed of the traffic: another seed makes another month
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Send at most N webhooks a second [default: as fast as the system answers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    speed: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    duplicate: AtomicU64,
    other: AtomicU64,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.target.is_deployed() {
        bail!("the demo works on this machine only: a deployed system would send real mails");
    }
    let port = arguments.target.port.unwrap_or(target::PORT);
    let gateway = format!("http://127.0.0.1:{port}");
    let url = parse_url(&gateway)?;
    let Some(local) = Local::behind(&url).await? else {
        bail!("{gateway} is not the gateway of a local system; give its port with --port");
    };
    let plan = Plan::new(arguments.seed, arguments.days, Timestamp::now());
    let began = Instant::now();
    let counts = send(&url, &plan, arguments.speed).await?;
    let waiting = local.settle().await?;
    let [accepted, duplicate, other] =
        [&counts.accepted, &counts.duplicate, &counts.other].map(|it| it.load(Ordering::Relaxed));
    let seconds = began.elapsed().as_secs_f64();
    if arguments.json {
        say_json(&json!({
            "sent": plan.steps.len(), "accepted": accepted, "duplicate": duplicate, "other": other,
            "waiting": waiting, "seconds": seconds,
        }))?;
    } else {
        let mut text = format!(
            "{} webhooks in {seconds:.0} s: {accepted} accepted, {duplicate} seen before, {other} \
             refused\n",
            plan.steps.len()
        );
        if waiting > 0 {
            text.push_str(&format!("{waiting} messages still wait in queues\n"));
        }
        text.push_str(&format!(
            "\nLook at them:\n  coupons report --tenant {}\n  coupons export | head\n  \
             curl -H 'authorization: Bearer local-report-token' \
             '{gateway}/reports/coupons?timeframe={}d'\n",
            plan::COMPANIES[0],
            arguments.days
        ));
        say(&harmless(&text))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn send(gateway: &Uri, plan: &Plan, speed: Option<u32>) -> anyhow::Result<Counts> {
    let client = Client::of(gateway)?;
    let style = "{bar:40} {pos}/{len} webhooks, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).context("the progress bar's template")?;
    let progress = ProgressBar::new(plan.steps.len() as u64).with_style(style);
    let counts = Counts::default();
    let began = Instant::now();
    let pause = speed.map(|speed| Duration::from_secs(1) / speed);
    let secrets = [
        secret("ZUPY_WEBHOOK_SECRETS", "local-zupy-secret")?,
        secret("AGHANIM_WEBHOOK_SECRETS", "local-aghanim-secret")?,
    ];
    let requests = plan.steps.iter().zip(0_u32..).map(|(step, index)| {
        let (client, counts, secrets, progress) = (&client, &counts, &secrets, &progress);
        async move {
            if let Some(pause) = pause {
                let at = began + pause * index;
                tokio::time::sleep_until(at.into()).await;
            }
            let request = request(gateway, step, secrets)?;
            let word = deliver(client, &request).await?;
            let counter = match word.as_str() {
                "accepted" => &counts.accepted,
                "duplicate" => &counts.duplicate,
                _ => &counts.other,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            progress.inc(1);
            anyhow::Ok(())
        }
    });
    let sent = stream::iter(requests).buffered(CONCURRENCY);
    sent.try_collect::<()>().await?;
    progress.finish_and_clear();
    Ok(counts)
}

/// The secret that the local system verifies with.
fn secret(variable: &str, otherwise: &str) -> anyhow::Result<Secrets> {
    let given = std::env::var(variable).unwrap_or_default();
    let text = match given.trim() {
        "" => otherwise,
        given => given,
    };
    Secrets::parse(text).map_err(|unusable| anyhow::anyhow!("{variable} {unusable}"))
}

fn request(gateway: &Uri, step: &Step, [zupy, aghanim]: &[Secrets; 2]) -> anyhow::Result<Request> {
    let (path, scheme, secrets) = match step.door {
        Door::Redeemed => ("/webhooks/zupy/coupon-redeemed", zupy::V1, zupy),
        Door::Used => ("/webhooks/zupy/coupon-used", zupy::V1, zupy),
        Door::V2 => ("/webhooks/zupy", zupy::V2, zupy),
        Door::Game => (
            "/webhooks/aghanim/coupon-redeemed",
            aghanim::SCHEME,
            aghanim,
        ),
    };
    let body = step.body.to_string().into_bytes();
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(scheme.sign(&body, secrets.first(), step.at));
    let url = format!("{}{path}", gateway.to_string().trim_end_matches('/'));
    Ok(Request {
        url: parse_url(&url)?,
        headers,
        body,
    })
}

/// Sends one webhook and returns the answer's `status`. The demo retries after a 503.
async fn deliver(client: &Client, request: &Request) -> anyhow::Result<String> {
    let mut pause = Duration::from_millis(100);
    let mut attempts = 1;
    loop {
        let answer = client.post(request).await?;
        let is_final = !answer.status.is_server_error() || attempts == ATTEMPTS;
        if is_final {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return Ok(body["status"].as_str().unwrap_or_default().to_owned());
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempts += 1;
    }
}
