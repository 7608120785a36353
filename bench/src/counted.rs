//! Calls to AWS in this process, with the capacity that DynamoDB says they consumed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use http_body_util::BodyExt;
use local::aws::Aws;
use serde_json::Value;

const DYNAMODB: &str = "DynamoDB_20120810.";

/// The calls to DynamoDB and their cost. Units are DynamoDB's own, indexes included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    pub requests: u32,
    pub write_units: f64,
    pub read_units: f64,
    /// The items that were put, in the size that DynamoDB counts.
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
        let mut bytes = body.bytes().ok_or_else(streamed)?.to_vec();
        let target = head.headers.get("x-amz-target");
        let target = target.and_then(|it| it.to_str().ok());
        let operation = target.and_then(|it| it.strip_prefix(DYNAMODB));
        let operation = operation.map(str::to_owned);
        if operation.is_some() {
            let mut body: Value = serde_json::from_slice(&bytes)
                .map_err(|error| ConnectorError::user(error.into()))?;
            body["ReturnConsumedCapacity"] = "TOTAL".into();
            self.lock().item_bytes += item_bytes(&body["Item"]);
            bytes = body.to_string().into_bytes();
        }
        let request = axum::extract::Request::from_parts(head, Body::from(bytes));
        let (head, body) = self.aws.answer(request).await.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?;
        let body = body.to_bytes();
        if let Some(operation) = operation {
            self.count(&operation, &body);
        }
        let mut answer = HttpResponse::new(head.status.into(), SdkBody::from(body));
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                let headers = answer.headers_mut();
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
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
