//! Serves a router behind API Gateway. Every event gets an answer, even if it is unreadable or the
//! router fails.

mod request;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::http::Response;
use futures_util::FutureExt;
use lambda_http::{Adapter, Context, LambdaEvent, Service};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use webhooks::invocation::{Invocation, serve};

/// The longest time for an answer. The gateway waits for 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// The longest answer. Lambda accepts 6 MB, and escapes quotes within that size.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why the router gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    #[error("a request that cannot be read")]
    Unreadable,
    /// The answer has this many bytes, which is more than Lambda accepts.
    #[error("an answer of {0} bytes")]
    TooLarge(usize),
    /// The router panicked, or gave no answer in time.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// Makes and logs the answer to a request that the router did not answer.
pub type Refuse = fn(Unserved) -> Response<Body>;

/// A router, and the answer for requests that the router does not answer.
#[derive(Debug)]
pub struct Serving {
    router: Router,
    refuse: Refuse,
}

impl Serving {
    pub fn new(router: Router, refuse: Refuse) -> Self {
        Self { router, refuse }
    }

    /// Answers until Lambda ends the function.
    ///
    /// # Errors
    /// Lambda's runtime API does not answer.
    pub async fn run(self) -> anyhow::Result<()> {
        let own = &self;
        let answer =
            |event: Box<RawValue>, context| async move { Ok(own.answer(&event, context).await) };
        serve(answer).await
    }

    /// The answer to one event, in the shape that the gateway takes.
    pub async fn answer(&self, event: &RawValue, context: Context) -> Value {
        let invocation = Invocation::of(&context);
        let within = ANSWER_WITHIN.min(left(invocation));
        let answer = AssertUnwindSafe(self.pass(event, context)).catch_unwind();
        let unserved = match tokio::time::timeout(within, answer).await {
            Ok(Ok(Ok(answer))) => return answer,
            Ok(Ok(Err(unserved))) => unserved,
            Ok(Err(_)) => Unserved::Failed(anyhow::anyhow!("panicked, as the line above says")),
            Err(_) => Unserved::Failed(anyhow::anyhow!("no answer within {within:?}")),
        };
        plain((self.refuse)(unserved)).await
    }

    async fn pass(&self, event: &RawValue, context: Context) -> Result<Value, Unserved> {
        let request = request::read(event)?;
        let router = Bounded {
            router: self.router.clone(),
            refuse: self.refuse,
        };
        let answered = Adapter::from(router).call(LambdaEvent::new(request, context));
        let Ok(answer) = answered.await;
        let answer = serde_json::to_value(answer);
        answer.map_err(|_| Unserved::Failed(anyhow::anyhow!("an answer that is no JSON")))
    }
}

/// The remaining time of an invocation, less a second to send the answer.
fn left(invocation: Invocation) -> Duration {
    let left = invocation.ends_at().duration_since(invocation.now());
    let left = Duration::try_from(left).unwrap_or(Duration::MAX);
    left.saturating_sub(Duration::from_secs(1))
}

/// The router, with a limit on the length of its answers.
#[derive(Clone)]
struct Bounded {
    router: Router,
    refuse: Refuse,
}

impl Service<lambda_http::Request> for Bounded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        Service::<lambda_http::Request>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, request: lambda_http::Request) -> Self::Future {
        let answer = self.router.call(request);
        let refuse = self.refuse;
        Box::pin(async move {
            let answer = answer.await?;
            let length = answer.body().size_hint().lower();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length <= ANSWER_MAX_BYTES {
                return Ok(answer);
            }
            Ok(refuse(Unserved::TooLarge(length)))
        })
    }
}

/// An answer to an event that is no request, in the one form that every gateway accepts.
async fn plain(response: Response<Body>) -> Value {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_MAX_BYTES).await.unwrap_or_default();
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), Value::from(value))
    });
    json!({
        "statusCode": parts.status.as_u16(),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8_lossy(&body),
        "isBase64Encoded": false,
    })
}
