//! Sends requests over HTTP and HTTPS, and reads the answers.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a request waits, and how much of the answer it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The time until the whole answer has arrived.
    pub(crate) timeout: Duration,
    pub(crate) answer_bytes: usize,
}

impl Limits {
    /// A provider gives up earlier, and Lambda's own limit is 6 MB.
    pub(crate) const WEBHOOK: Self = Self {
        timeout: Duration::from_secs(15),
        answer_bytes: 8 * 1024 * 1024,
    };
    /// The local system's answers can be large, and some end only when their work is done.
    pub(crate) const LOCAL: Self = Self {
        timeout: Duration::from_secs(120),
        answer_bytes: 2 * 1024 * 1024 * 1024,
    };
}

pub(crate) const AGENT: &str = concat!("coupons/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) url: Uri,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// From the first byte sent, including the connection, to the last byte received.
    pub(crate) duration: Duration,
}

pub(crate) type Body = Full<VecDeque<u8>>;

/// A client that keeps its connections open between requests.
#[derive(Debug)]
pub(crate) enum Client {
    Plain(legacy::Client<HttpConnector, Body>),
    Secure(legacy::Client<HttpsConnector<HttpConnector>, Body>),
}

impl Client {
    /// Opens a client. The client reads this machine's root certificates only if the URL needs
    /// them.
    pub(crate) fn of(url: &Uri) -> anyhow::Result<Self> {
        let builder = legacy::Client::builder(TokioExecutor::new());
        if url.scheme_str() != Some("https") {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            return Ok(Self::Plain(builder.build(connector)));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .context("reading this machine's root certificates")?
            .https_only()
            .enable_http1()
            .build();
        Ok(Self::Secure(builder.build(connector)))
    }

    pub(crate) async fn post(&self, request: &Request) -> anyhow::Result<Answer> {
        self.send(message(request)?, &request.url, Limits::WEBHOOK)
            .await
    }

    /// Requests a page of the system on this machine.
    pub(crate) async fn ask(&self, method: Method, url: &Uri) -> anyhow::Result<Answer> {
        let message = http::Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, AGENT)
            .body(Body::default())?;
        self.send(message, url, Limits::LOCAL).await
    }

    pub(crate) async fn send(
        &self,
        message: http::Request<Body>,
        url: &Uri,
        limits: Limits,
    ) -> anyhow::Result<Answer> {
        let start = Instant::now();
        let answer = async {
            let response = match self {
                Self::Plain(client) => client.request(message).await,
                Self::Secure(client) => client.request(message).await,
            };
            let (head, body) = response.map_err(|error| explain(error, url))?.into_parts();
            let body = Limited::new(body, limits.answer_bytes).collect().await;
            let body = body.map_err(|error| {
                anyhow!(error).context(format!("reading the answer of {}", origin(url)))
            })?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes().into(),
                duration: start.elapsed(),
            })
        };
        let answered = tokio::time::timeout(limits.timeout, answer).await;
        answered.map_err(|_| {
            let limit_s = limits.timeout.as_secs();
            anyhow!("no answer from {} within {limit_s} s", origin(url))
        })?
    }
}

fn message(request: &Request) -> anyhow::Result<http::Request<Body>> {
    let body = Full::new(VecDeque::from(request.body.clone()));
    let mut message = http::Request::post(&request.url)
        .header(USER_AGENT, AGENT)
        .body(body)?;
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        message
            .headers_mut()
            .insert(name, HeaderValue::from_str(value)?);
    }
    Ok(message)
}

fn explain(error: legacy::Error, url: &Uri) -> anyhow::Error {
    let origin = origin(url);
    if !refused(&error) {
        return anyhow!(error).context(format!("no answer from {origin}"));
    }
    if is_loopback(url) {
        anyhow!(
            "nothing listens on {origin}: start the system with `cargo run` in another terminal, \
             or give its port \
             with --port"
        )
    } else {
        anyhow!("nothing listens on {origin}")
    }
}

/// Whether the error says that nothing listens at the address.
pub(crate) fn refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A URL without its path: `http://127.0.0.1:3000`.
pub(crate) fn origin(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

/// Whether a URL leads to this machine itself.
pub(crate) fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost"),
    }
}

/// Reads an absolute HTTP or HTTPS URL.
pub(crate) fn parse_url(text: &str) -> anyhow::Result<Uri> {
    let url: Uri = text
        .parse()
        .with_context(|| format!("{text:?} is not a URL"))?;
    let absolute = matches!(url.scheme_str(), Some("http" | "https"));
    if !absolute || url.host().is_none_or(str::is_empty) {
        anyhow::bail!("write the whole URL, with http:// or https://");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:3000/x", true),
            ("http://127.8.0.1/", true),
            ("http://localhost:3000", true),
            ("http://api.localhost", true),
            ("http://[::1]:3000/x", true),
            ("http://10.0.0.1:3000", false),
            ("https://abc.execute-api.us-east-1.amazonaws.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&parse_url(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_url_must_be_whole() {
        for text in [
            "127.0.0.1:3000",
            "/webhooks/zupy",
            "ftp://x/",
            "",
            "http://",
        ] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn says_what_to_do_when_nothing_listens() {
        // This port was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request {
            url: parse_url(&format!("http://{address}/x")).unwrap(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let client = Client::of(&request.url).unwrap();
        let error = client.post(&request).await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!(
                "nothing listens on http://{address}: start the system with `cargo run` in \
                 another terminal, or give \
                 its port with --port"
            )
        );
    }
}
