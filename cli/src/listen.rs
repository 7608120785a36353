//! `coupons listen`: a small game's server that checks the signature of forwarded events and prints
//! them.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Router, routing};
use clap::value_parser;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use webhooks::request::Headers;
use webhooks::steering::escaped;
use webhooks::verify::{Freshness, STANDARD_WEBHOOKS, Secrets};

use crate::output::{harmless, readable, say};

/// The secret that the system on this machine signs with by default.
const LOCAL_SECRET: &str = "whsec_bG9jYWwtZm9yd2FyZC1zZWNyZXQ=";

/// How far from now a signature's time may be. Standard Webhooks suggests five minutes.
const TOLERANCE_S: i64 = 300;

const EXAMPLES: &str = "\
In one terminal:      coupons listen
in another:           coupons --parameter ForwardUrl=http://127.0.0.1:3100
and in a third:       coupons send aghanim-coupon-redeemed";

/// Run a small game's server: check the signature of each forwarded event, print it, and answer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 3100)]
    on: u16,
    /// Secret that the sender signs with (whsec_ and base64), several separated by commas [default:
    /// the secret of the system on this machine]
    #[arg(
        long,
        value_name = "SECRETS",
        env = "FORWARD_SECRETS",
        hide_env_values = true
    )]
    secret: Option<String>,
    /// Answer correctly signed requests with this status, to test how the system reacts
    #[arg(long, value_name = "STATUS", default_value_t = 204)]
    #[arg(value_parser = value_parser!(u16).range(200..=599))]
    answer: u16,
    /// Send this value in the header Retry-After
    #[arg(long, value_name = "SECONDS", requires = "answer")]
    retry_after: Option<u32>,
    /// Print JSON: an object on one line for each request
    #[arg(long)]
    pub(crate) json: bool,
    /// Port of the local system that will forward here; only used in the printed command
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    port: u16,
    /// Port of that system's AWS endpoint; only used in the printed command
    #[arg(long, value_name = "PORT", default_value_t = 4566)]
    aws_port: u16,
}

struct Server {
    secrets: Secrets,
    answer: StatusCode,
    retry_after: Option<u32>,
    json: bool,
    /// Ids seen before. One id is one event, however often the sender forwards it.
    seen: Mutex<HashSet<String>>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let secret = arguments.secret.as_deref().unwrap_or(LOCAL_SECRET);
    let secrets = Secrets::parse(secret).and_then(|secrets| {
        secrets.check(&[STANDARD_WEBHOOKS])?;
        Ok(secrets)
    });
    let secrets = secrets.map_err(|unusable| anyhow!("--secret {unusable}"))?;
    let listener = TcpListener::bind(("127.0.0.1", arguments.on))
        .await
        .with_context(|| {
            format!(
                "cannot listen on 127.0.0.1:{}: choose another port with --on",
                arguments.on
            )
        })?;
    let address = listener.local_addr()?;
    let server = Arc::new(Server {
        secrets,
        answer: StatusCode::from_u16(arguments.answer).context("--answer")?,
        retry_after: arguments.retry_after,
        json: arguments.json,
        seen: Mutex::default(),
    });
    if arguments.json {
        say(&format!(
            "{}\n",
            json!({"listening": format!("http://{address}")})
        ))?;
    } else {
        say(&format!("listening: http://{address}\n"))?;
        eprintln!(
            "{}",
            how_to_forward(&arguments, &format!("http://{address}"))
        );
    }
    let router = Router::new()
        .fallback(routing::any(receive))
        .with_state(server);
    let stopped = async {
        // If setting a signal handler fails, Ctrl-C still ends the process.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
        .context("serving")?;
    Ok(ExitCode::SUCCESS)
}

/// The command that starts a system that forwards here.
fn how_to_forward(arguments: &Arguments, url: &str) -> String {
    let mut command = "cargo run --".to_owned();
    if arguments.port != 3000 {
        command.push_str(&format!(" --port {}", arguments.port));
    }
    if arguments.aws_port != 4566 {
        command.push_str(&format!(" --aws-port {}", arguments.aws_port));
    }
    command.push_str(&format!(" --parameter ForwardUrl={url}"));
    if arguments.secret.is_some() {
        command.push_str(" --parameter ForwardSecrets=...");
    }
    format!("Start a system that forwards here:\n  {command}\nCtrl-C stops listening.")
}

async fn receive(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let received = Received::of(&server, &headers, &body, Timestamp::now());
    let line = match server.json {
        true => format!("{}\n", escaped(&received.to_json().to_string())),
        false => harmless(&received.describe()),
    };
    // Nobody reads the output any more, but the sender still gets its answer.
    let _ = say(&line);
    let mut answer = HeaderMap::new();
    if let (Some(seconds), true) = (server.retry_after, received.refused.is_none()) {
        answer.insert("retry-after", seconds.into());
    }
    let status = match received.refused {
        Some(_) => StatusCode::UNAUTHORIZED,
        None => server.answer,
    };
    (status, answer)
}

/// A request and the result of its checks.
struct Received {
    id: String,
    /// Why the server refuses the signature, if it does.
    refused: Option<String>,
    again: bool,
    body: Value,
}

impl Received {
    fn of(server: &Server, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Self {
        let pairs = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Headers<'_> = pairs.collect();
        let id = headers
            .values("webhook-id")
            .next()
            .unwrap_or_default()
            .to_owned();
        let verified = STANDARD_WEBHOOKS.verify(&headers, body, &server.secrets);
        let freshness = Freshness {
            max_age_s: TOLERANCE_S,
            max_future_s: TOLERANCE_S,
        };
        let refused = verified.and_then(|(_, at)| at.map_or(Ok(()), |at| freshness.check(at, now)));
        let refused = refused.err().map(|reason| reason.to_string());
        let again = refused.is_none() && {
            let mut seen = server.seen.lock().unwrap_or_else(PoisonError::into_inner);
            !seen.insert(id.clone())
        };
        Self {
            id,
            refused,
            again,
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    fn to_json(&self) -> Value {
        let word = match (&self.refused, self.again) {
            (Some(_), _) => "refused",
            (None, true) => "again",
            (None, false) => "received",
        };
        let body = self.refused.is_none().then_some(&self.body);
        json!({"what": word, "id": self.id, "reason": self.refused, "body": body})
    }

    fn describe(&self) -> String {
        let id = readable(self.id.as_bytes());
        match &self.refused {
            Some(reason) => format!("refused {id}: {reason}\n\n"),
            None if self.again => format!("again {id}: this event came before\n\n"),
            None => format!(
                "received {id}\n{}\n\n",
                readable(self.body.to_string().as_bytes())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            secrets: Secrets::parse(LOCAL_SECRET).unwrap(),
            answer: StatusCode::NO_CONTENT,
            retry_after: None,
            json: true,
            seen: Mutex::default(),
        }
    }

    fn signed(server: &Server, body: &[u8], at: Timestamp) -> HeaderMap {
        let secret = server.secrets.first();
        let signed = STANDARD_WEBHOOKS.sign(body, secret, at);
        let signed = signed.into_iter();
        signed
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_good_signature_is_accepted_and_a_repeat_is_recognised() {
        let (server, now) = (server(), Timestamp::from_second(1_800_000_000).unwrap());
        let body = br#"{"type":"coupon.redeemed"}"#;
        let headers = signed(&server, body, now);
        let word = |headers: &HeaderMap, body: &[u8]| {
            Received::of(&server, headers, body, now).to_json()["what"].clone()
        };
        assert_eq!(word(&headers, body), "received");
        assert_eq!(word(&headers, body), "again");
        assert_eq!(word(&headers, b"{}"), "refused");
        assert_eq!(word(&HeaderMap::new(), body), "refused");
        let old = signed(
            &server,
            body,
            now - jiff::SignedDuration::from_secs(TOLERANCE_S + 1),
        );
        assert_eq!(word(&old, body), "refused");
    }
}
