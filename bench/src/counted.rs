//! Calls to AWS, with the capacity that DynamoDB says they consumed. The requests end in this
//! process, or come to it over a port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::serve::ListenerExt;
use emulators::endpoint::Aws;
use serde_json::Value;
use tokio::net::TcpListener;

const DYNAMODB: &str = "DynamoDB_20120810.";

/// DynamoDB's limit for a body, the largest of all services.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// The calls and their cost. Units are DynamoDB's own, indexes included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// To DynamoDB.
    pub requests: u32,
    /// To any other service, for instance to SQS.
    pub other_requests: u32,
    pub write_units: f64,
    pub read_units: f64,
    /// The written items, in the size that DynamoDB counts.
    pub item_bytes: usize,
}

/// The size of an item
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn item_bytes(item: &Value) -> usize {
    let fields = item.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|it| it.iter().next()) else {
        return 0;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(number)) => {
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            digits.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
        }
        // The value travels as base64.
        ("B", Value::String(bytes)) => bytes.trim_end_matches('=').len() * 3 / 4,
        (_, Value::String(text)) => text.len(),
        (_, Value::Array(list)) => 3 + list.iter().map(|it| 1 + value_bytes(it)).sum::<usize>(),
        (_, Value::Object(map)) => {
            let fields = map
                .iter()
                .map(|(name, it)| 1 + name.len() + value_bytes(it));
            3 + fields.sum::<usize>()
        }
        _ => 1,
    }
}

/// Connections that end in this process; clones share their counts.
#[derive(Clone)]
pub struct Counted {
    aws: Arc<Aws>,
    cost: Arc<Mutex<Cost>>,
}

impl Counted {
    pub fn new(aws: Arc<Aws>) -> Self {
        Self {
            aws,
            cost: Arc::default(),
        }
    }

    pub fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// The cost since the last call of this function.
    pub fn take(&self) -> Cost {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Cost> {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let (head, body) = request.into_parts();
        let streamed = || ConnectorError::user("a streamed body".into());
        let bytes = body.bytes().ok_or_else(streamed)?.to_vec();
        let answer = self.answer(Request::from_parts(head, Body::from(bytes)));
        let answer = answer.await;
        let (head, body) = answer
            .map_err(|error| ConnectorError::io(error.into()))?
            .into_parts();
        let mut answer = HttpResponse::new(head.status.into(), SdkBody::from(body));
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                let headers = answer.headers_mut();
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    /// Has the emulators answer a call, and counts it.
    async fn answer(&self, request: Request) -> anyhow::Result<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let mut bytes = to_bytes(body, BODY_MAX).await?;
        let target = head.headers.get("x-amz-target");
        let target = target.and_then(|it| it.to_str().ok());
        let operation = target.and_then(|it| it.strip_prefix(DYNAMODB));
        let operation = operation.map(str::to_owned);
        if operation.is_some() {
            let mut body: Value = serde_json::from_slice(&bytes)?;
            body["ReturnConsumedCapacity"] = "TOTAL".into();
            self.lock().item_bytes += item_bytes(&body["Item"]);
            bytes = body.to_string().into();
        }
        let request = Request::from_parts(head, Body::from(bytes));
        let (head, body) = self.aws.answer(request).await.into_parts();
        let body = to_bytes(body, BODY_MAX).await?;
        match operation {
            Some(operation) => self.count(&operation, &body),
            None => self.lock().other_requests += 1,
        }
        Ok(Response::from_parts(head, body))
    }

    /// Answers calls that come to this listener, each no sooner than `round_trip` after it came.
    /// Ends with its task.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, listener: TcpListener, round_trip: Duration) -> anyhow::Result<()> {
        let answer = async move |State(counted): State<Self>, request: Request| {
            let due = Instant::now() + round_trip;
            let answer = counted.answer(request).await;
            // The runtime's own clock knows whole milliseconds only.
            let rest = due.saturating_duration_since(Instant::now());
            let slept = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
            match answer {
                Ok(answer) if slept.is_ok() => answer.map(Body::from),
                _ => {
                    let mut refused = Response::new(Body::from("the call cannot be counted"));
                    *refused.status_mut() = StatusCode::BAD_REQUEST;
                    refused
                }
            }
        };
        let router = Router::new().fallback(answer).with_state(self);
        let listener = listener.tap_io(|stream| {
            // Otherwise an answer may wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    }

    fn count(&self, operation: &str, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let consumed = match &answer["ConsumedCapacity"] {
            Value::Array(of_tables) => of_tables.clone(),
            of_table => vec![of_table.clone()],
        };
        let units = consumed
            .iter()
            .filter_map(|it| it["CapacityUnits"].as_f64());
        let units: f64 = units.sum();
        let mut cost = self.lock();
        cost.requests += 1;
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => {
                cost.write_units += units;
            }
            _ => cost.read_units += units,
        }
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

impl HttpConnector for Counted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl HttpClient for Counted {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
