//! `coupons clock`: shows the local system's time, and lets time pass there.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::http::{Client, Request, parse_url};
use crate::output::{harmless, say, say_json};
use crate::target::{self, PORT};

/// Show the local system's time, or let time pass there at once.
///
/// Schedules, queues, expiring items and functions follow the new time. Time never goes back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Let this much time pass, such as 2h, 90min or 3d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    advance: Option<Duration>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

/// Reads a duration in jiff's friendly format. A day has 24 hours.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').map(str::trim).map(str::parse::<u32>);
    let duration = match days {
        Some(Ok(days)) => SignedDuration::from_hours(i64::from(days) * 24),
        _ => text
            .parse()
            .map_err(|error: jiff::Error| error.to_string())?,
    };
    Duration::try_from(duration).map_err(|_| "time does not go back".to_owned())
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.target.is_deployed() {
        bail!("a deployed system has AWS's time; only the local system's clock can move");
    }
    let port = arguments.target.port.unwrap_or(PORT);
    let url = parse_url(&format!("http://127.0.0.1:{port}/_local/clock"))?;
    let client = Client::of(&url)?;
    let answer = match arguments.advance {
        None => client.ask(Method::GET, &url).await?,
        Some(by) => {
            let body = json!({"advance_s": by.as_secs_f64()});
            let request = Request {
                url,
                headers: vec![("content-type", "application/json".to_owned())],
                body: body.to_string().into_bytes(),
            };
            client.post(&request).await?
        }
    };
    let clock: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(error) = clock["error"].as_str() {
        bail!("{error}");
    }
    ensure!(
        answer.status == StatusCode::OK && clock["now"].is_string(),
        "no local system answers at port {port}: give its port with --port"
    );
    if arguments.json {
        say_json(&clock)?;
    } else {
        say(&harmless(&describe(&clock)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(clock: &Value) -> anyhow::Result<String> {
    let now = clock["now"].as_str().unwrap_or_default();
    let ahead_s = clock["ahead_s"].as_f64().unwrap_or_default();
    let ahead = SignedDuration::try_from_secs_f64(ahead_s).context("the answer's ahead_s")?;
    Ok(if ahead.is_zero() {
        format!("{now}\n")
    } else {
        format!("{now}, {ahead:#} ahead of this machine's clock\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_as_people_write_it() {
        let check = |text: &str, expected_s: u64| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(expected_s)),
                "{text}"
            );
        };
        check("2h", 7_200);
        check("90min", 5_400);
        check("1h 30m", 5_400);
        check("3d", 259_200);
        check("45s", 45);
        for wrong in ["", "soon", "-2h", "2"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moved_clock_says_so() {
        let clock = |ahead_s: f64| json!({"now": "2026-11-28T14:00:00.000Z", "ahead_s": ahead_s});
        let on_time = describe(&clock(0.0)).unwrap();
        assert_eq!(on_time, "2026-11-28T14:00:00.000Z\n");
        let ahead = describe(&clock(7_200.0)).unwrap();
        assert_eq!(
            ahead,
            "2026-11-28T14:00:00.000Z, 2h ahead of this machine's clock\n"
        );
    }
}
