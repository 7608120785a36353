//! The network between a function and AWS: every call takes a short time in each direction, and
//! gets a note.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulators::endpoint::{Aws, read_form};
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::history::{Call, History, Process};

/// The longest time of a call in one direction, without faults.
const WAY_MAX: Duration = Duration::from_millis(12);

/// The most rows of a page.
const ROWS_MAX: usize = 16;

/// The connections of one process.
#[derive(Clone)]
pub(crate) struct Network {
    aws: Arc<Aws>,
    process: Process,
    history: History,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl Network {
    pub(crate) fn new(
        aws: Arc<Aws>,
        process: Process,
        history: History,
        random: fastrand::Rng,
    ) -> Self {
        Self {
            aws,
            process,
            history,
            random: Arc::new(Mutex::new(random)),
        }
    }

    pub(crate) fn client(self) -> SharedHttpClient {
        SharedHttpClient::new(self)
    }

    async fn travel(&self) {
        let way = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            WAY_MAX.mul_f64(random.f64())
        };
        tokio::time::sleep(way).await;
    }

    /// Limits the rows of a scan's page. A page of DynamoDB ends after 1 MB, which is more than a
    /// story's table.
    fn shorten(&self, request: &mut axum::extract::Request, call: &Call) {
        let mut scan = call.body.clone();
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        scan["Limit"] = random.usize(1..=ROWS_MAX).into();
        let scan = scan.to_string();
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, scan.len().into());
        *request.body_mut() = Body::from(scan);
    }

    /// Transports the request and the answer. A request under way arrives even if its sender dies.
    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (mut request, call) = read(request, self.process.clone())?;
        if call.operation.ends_with(".Scan") {
            self.shorten(&mut request, &call);
        }
        let (answered, answer) = oneshot::channel();
        let there = self.clone();
        tokio::spawn(async move {
            there.travel().await;
            let answer = there.aws.answer(request).await;
            let (head, body) = answer.into_parts();
            let body = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes);
            let number = there
                .history
                .performed(call, body.is_ok().then_some(head.status));
            // Nobody waits for the answer if the sender has given up or died.
            let _ = answered.send(body.map(|body| (number, head, body)));
        });
        // The client has this error for a connection that ends instead of answering. A failed
        // connection gives a different error.
        let lost = || {
            let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            ConnectorError::io(reset.into())
        };
        let (number, head, body) = match answer.await {
            Ok(Ok(answer)) => answer,
            _ => return Err(lost()),
        };
        self.travel().await;
        self.history.answered(number);
        let mut answer = HttpResponse::new(head.status.into(), SdkBody::from(body));
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                answer
                    .headers_mut()
                    .insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }
}

fn read(
    request: HttpRequest,
    process: Process,
) -> Result<(axum::extract::Request, Call), ConnectorError> {
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let bytes = body
        .bytes()
        .ok_or_else(|| ConnectorError::user("a streamed body".into()))?
        .to_vec();
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|it| it.to_str().ok());
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| read_form(&bytes));
    let action = body["Action"].as_str();
    let operation = target.or(action).unwrap_or_else(|| head.uri.path());
    let call = Call {
        process,
        about: about(&head.headers, &body, &bytes),
        operation: operation.to_owned(),
        body,
    };
    let request = axum::extract::Request::from_parts(head, Body::from(bytes));
    Ok((request, call))
}

/// The event of a message to the outside, from its channel's field. The field is a mail's header, a
/// WhatsApp message's callback data, a text message's attribute, or a webhook's id.
fn about(headers: &http::HeaderMap, body: &Value, bytes: &[u8]) -> Option<String> {
    if let Some(id) = headers.get("webhook-id") {
        return Some(id.to_str().ok()?.to_owned());
    }
    if let Some(headers) = body["Content"]["Simple"]["Headers"].as_array() {
        let event = headers.iter().find(|it| it["Name"] == "X-Event-Key")?;
        return Some(event["Value"].as_str()?.to_owned());
    }
    if let Some(message) = body["message"].as_str() {
        let message: Value = serde_json::from_slice(&STANDARD.decode(message).ok()?).ok()?;
        return Some(message["biz_opaque_callback_data"].as_str()?.to_owned());
    }
    let pairs: Vec<_> = form_urlencoded::parse(bytes).collect();
    let (name, _) = pairs
        .iter()
        .find(|(name, value)| name.ends_with(".Name") && value == "event")?;
    let value = format!("{}.Value.StringValue", name.strip_suffix(".Name")?);
    let (_, event) = pairs.iter().find(|(name, _)| *name == value)?;
    Some(event.clone().into_owned())
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network of {}", self.process)
    }
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl HttpClient for Network {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
