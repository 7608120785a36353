//! A game's own server: notified of a redemption by a webhook that Standard Webhooks signs.

use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use channels::time::has_time;
use channels::{NotNow, Outcome, unanswered};
use http::Uri;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use sha2::{Digest, Sha256};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::Event;
use webhooks::invocation::Invocation;
use webhooks::secrets::SecretStore;
use webhooks::verify::STANDARD_WEBHOOKS;

/// How long the server may take to accept a connection, and to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause that a server's `Retry-After` causes.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug)]
pub(crate) struct GameServer {
    /// Scheme and authority; `path` holds the rest.
    origin: String,
    path: String,
    http: SharedHttpClient,
    secrets: SecretStore,
}

/// A server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
}

impl GameServer {
    /// `None` if the settings name no server.
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Option<Self> {
        let url = environment.optional("FORWARD_URL")?;
        let (origin, path) = split(&url).unwrap_or_else(|problem| {
            environment.problem(format!("FORWARD_URL is {url:?}, {problem}"));
            Default::default()
        });
        let secret_id = environment.text("FORWARD_SECRET_ID");
        Some(Self {
            origin,
            path,
            http: aws.http(),
            secrets: SecretStore::new(
                &aws.sdk_config(CallLimits::TASK),
                secret_id,
                &[STANDARD_WEBHOOKS],
            ),
        })
    }

    /// Fetches the secrets to sign with.
    ///
    /// # Errors
    /// The secrets are missing, unusable, or not in the form of Standard Webhooks.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        self.secrets.start().await
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// Notifies the server.
    pub(crate) async fn notify(
        &self,
        event: &Event,
        body: String,
        invocation: Invocation,
    ) -> anyhow::Result<Outcome> {
        let known = self.secrets.current().await?;
        let id = format!(
            "msg_{}",
            &hex::encode(Sha256::digest(event.key.to_string()))[..32]
        );
        let signers: Vec<_> = known.secrets().of_tenant(&event.tenant).collect();
        if signers.is_empty() {
            return Ok(Outcome::NotNow(NotNow {
                hint: "; ForwardSecrets holds no secret of Standard Webhooks for this game",
                ..NotNow::new("no secret")
            }));
        }
        // Fetching the secrets may have taken a while.
        if !has_time(invocation, ANSWER_TIMEOUT) {
            return Ok(Outcome::NotNow(NotNow::new("no time was left to try it")));
        }
        let signature = STANDARD_WEBHOOKS.sign_as(&id, body.as_bytes(), &signers, invocation.now());
        let answer = self.post(signature, body, invocation.now()).await;
        Ok(match answer {
            Ok(answer) => judge(answer),
            Err(error) => Outcome::NotNow(unanswered(&error)),
        })
    }

    async fn post(
        &self,
        headers: Vec<(&'static str, String)>,
        body: String,
        now: Timestamp,
    ) -> Result<Answer, SdkError<Error, HttpResponse>> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .operation_timeout(ANSWER_TIMEOUT)
            .build();
        let path = self.path.clone();
        let operation = Operation::builder()
            .service_name("game-server")
            .operation_name("forward")
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .endpoint_url(&self.origin)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts)
            .serializer(
                move |(headers, body): (Vec<(&'static str, String)>, String)| {
                    let mut request = HttpRequest::new(SdkBody::from(body));
                    request.set_method("POST")?;
                    request.set_uri(path.as_str())?;
                    let fixed = [("content-type", "application/json".to_owned())];
                    for (name, value) in fixed.into_iter().chain(headers) {
                        request.headers_mut().insert(name, value);
                    }
                    Ok(request)
                },
            )
            .deserializer_impl(ReadAnswer { now })
            .build();
        operation.invoke((headers, body)).await
    }
}

/// Reads status and headers, but not the body, which may have any length.
#[derive(Debug)]
struct ReadAnswer {
    now: Timestamp,
}

impl DeserializeResponse for ReadAnswer {
    fn deserialize_streaming(
        &self,
        answer: &mut HttpResponse,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        let asked = answer.headers().get("retry-after");
        Some(Ok(Output::erase(Answer {
            status: answer.status().as_u16(),
            retry_after: asked.and_then(|it| retry_after(it, self.now)),
        })))
    }

    fn deserialize_nonstreaming(
        &self,
        _: &HttpResponse,
    ) -> Result<Output, OrchestratorError<Error>> {
        Err(OrchestratorError::other("the answer is read as it streams"))
    }
}

/// How long a header `Retry-After` asks to wait: a number of seconds, or until a date (RFC 9110,
/// 10.2.3).
fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::DateTimeParser::new()
        .parse_timestamp(header)
        .ok()?;
    Some(until.duration_since(now).try_into().unwrap_or_default())
}

/// A 2xx is a success. A status that may pass leads to a retry, and any other is final.
fn judge(answer: Answer) -> Outcome {
    let Answer {
        status,
        retry_after,
    } = answer;
    match status {
        200..=299 => Outcome::Taken(status.to_string()),
        408 | 429 | 500.. => Outcome::NotNow(NotNow {
            after: retry_after.map(|after| after.min(RETRY_AFTER_MAX)),
            ..NotNow::new(format!("the game's server answered {status}"))
        }),
        300..=399 => Outcome::Refused(format!(
            "the game's server answered {status}, and the system follows no redirects"
        )),
        _ => Outcome::Refused(format!("the game's server answered {status}")),
    }
}

/// Scheme and authority, and path with query. The URL must use TLS, except on this machine.
fn split(url: &str) -> Result<(String, String), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "it must be a URL")?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("it must be a URL such as https://game.example.com/webhooks");
    };
    let is_local = [
        "127.0.0.1",
        "localhost",
        "172.17.0.1",
        "host.docker.internal",
    ]
    .contains(&authority.host());
    match scheme {
        "https" => {}
        "http" if is_local => {}
        _ => return Err("it must begin with https://"),
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((format!("{scheme}://{authority}"), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, retry_after_s: Option<u64>, expected: &str) {
        let retry_after = retry_after_s.map(Duration::from_secs);
        let judged = match judge(Answer {
            status,
            retry_after,
        }) {
            Outcome::Taken(id) => format!("taken {id}"),
            Outcome::Refused(reason) => format!("refused: {reason}"),
            Outcome::NotNow(not_now) => format!("again after {:?}", not_now.after),
        };
        assert_eq!(judged, expected, "{status}");
    }

    #[test]
    fn only_a_status_that_may_pass_is_retried() {
        check(200, None, "taken 200");
        check(204, None, "taken 204");
        check(
            302,
            None,
            "refused: the game's server answered 302, and the system follows no redirects",
        );
        for status in [400, 401, 404, 409, 410, 422] {
            check(
                status,
                None,
                &format!("refused: the game's server answered {status}"),
            );
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            check(status, None, "again after None");
        }
        check(429, Some(120), "again after Some(120s)");
        check(503, Some(1_000_000), "again after Some(21600s)");
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let check = |header, expected: Option<u64>| {
            let pause = retry_after(header, now);
            assert_eq!(pause, expected.map(Duration::from_secs), "{header:?}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 22 Nov 2026 10:02:00 GMT", Some(120));
        check("Sun, 22 Nov 2026 09:00:00 GMT", Some(0));
        for wrong in ["", "-1", "1.5", "soon", "2026-11-22T10:02:00Z"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_server_is_notified_over_https_alone() {
        let split = |url| split(url).map(|(origin, path)| format!("{origin} {path}"));
        assert_eq!(
            split("https://game.example.com:8443/hooks?key=1").unwrap(),
            "https://game.example.com:8443 /hooks?key=1"
        );
        assert_eq!(
            split("http://127.0.0.1:3100").unwrap(),
            "http://127.0.0.1:3100 /"
        );
        for wrong in [
            "http://game.example.com",
            "ftp://127.0.0.1",
            "game.example.com",
            "/x",
            "a b",
        ] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
