//! The function: each event of a gateway through the router, with an answer whatever comes in and
//! whatever happens.

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
use webhooks::config::{Aws, Environment};
use webhooks::invocation::{Invocation, serve};
use webhooks::telemetry;

use crate::desk::Guarded;
use crate::refused::Refused;
use crate::request;
use crate::routes::router;

/// Longest time for an answer; the gateway waits for 30 s.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// Longest answer. Lambda takes 6 MB, in which quotes are escaped.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Serves reports until Lambda ends the function.
pub async fn run() -> anyhow::Result<()> {
    telemetry::start();
    let mut environment = Environment::of_process();
    let aws = Aws::read(&mut environment);
    let reports = Reports::new(Guarded::open(environment, &aws).await?);
    let reports = &reports;
    serve(|event: Box<RawValue>, context| async move { Ok(reports.answer(&event, context).await) })
        .await
}

/// All routes.
#[derive(Debug)]
pub struct Reports {
    router: Router,
}

impl Reports {
    pub fn new(guarded: Guarded) -> Self {
        Self {
            router: router(guarded),
        }
    }

    /// One of the documented answers, in the shape that the gateway takes.
    pub async fn answer(&self, event: &RawValue, context: Context) -> Value {
        let invocation = Invocation::of(&context);
        let within = ANSWER_WITHIN.min(left(invocation));
        let answer = AssertUnwindSafe(self.pass(event, context)).catch_unwind();
        let refused = match tokio::time::timeout(within, answer).await {
            Ok(Ok(Ok(answer))) => return answer,
            Ok(Ok(Err(refused))) => refused,
            Ok(Err(_)) => anyhow::anyhow!("panicked; the line above tells where").into(),
            Err(_) => anyhow::anyhow!("no answer within {within:?}").into(),
        };
        tell(&refused);
        plain(refused.response()).await
    }

    async fn pass(&self, event: &RawValue, context: Context) -> Result<Value, Refused> {
        let request = request::read(event)?;
        let router = Bounded(self.router.clone());
        let answered = Adapter::from(router).call(LambdaEvent::new(request, context));
        let Ok(answer) = answered.await;
        let answer = serde_json::to_value(answer);
        answer.map_err(|_| anyhow::anyhow!("an answer that is no JSON").into())
    }
}

/// The time that is left of an invocation, but for a little in which to answer.
fn left(invocation: Invocation) -> Duration {
    let left = invocation.ends_at().duration_since(invocation.now());
    let left = Duration::try_from(left).unwrap_or(Duration::MAX);
    left.saturating_sub(Duration::from_secs(1))
}

pub(crate) fn tell(refused: &Refused) {
    match refused {
        Refused::Unavailable(_) => tracing::error!("Not answered: {refused}"),
        _ => tracing::info!("Refused: {refused}"),
    }
}

/// The router, but no answer is longer than Lambda can give.
#[derive(Clone)]
struct Bounded(Router);

impl Service<lambda_http::Request> for Bounded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        Service::<lambda_http::Request>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: lambda_http::Request) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let length = answer.body().size_hint().lower();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length <= ANSWER_MAX_BYTES {
                return Ok(answer);
            }
            let refused = Refused::TooLarge(length);
            tell(&refused);
            Ok(refused.response())
        })
    }
}

/// An answer to an event that is no request, in the one form that every gateway takes.
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
