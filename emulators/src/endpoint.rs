//! The AWS endpoint: one port for every service that the system calls.

mod faulty;
mod permissions;
mod query;
mod scheduled;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::AwsError;
use crate::clock::Clock;
use crate::dynamodb::DynamoDb;
use crate::faults::Faults;
use crate::game_server::{self, GameServer};
use crate::lambda::{self, Lambda};
use crate::scheduler::{self, Scheduler};
use crate::secrets_manager::SecretsManager;
use crate::sent::Outside;
use crate::ses::Ses;
use crate::sns::Sns;
use crate::social_messaging::SocialMessaging;
use crate::sqs::Sqs;
use crate::template::{Statement, Template};

use crate::service::Service;

/// DynamoDB's limit, the largest of all services.
const MAXIMUM_BODY: usize = 16 * 1024 * 1024;

const SERVED: &str = "This endpoint serves DynamoDB, SQS and Secrets Manager (JSON protocol, \
                      X-Amz-Target), SNS (Query \
                      protocol, a form), EventBridge Scheduler (/schedules), SES v2 (POST \
                      /v2/email/outbound-emails), End User \
                      Messaging Social (POST \
                      /v1/whatsapp/send), and what is forwarded to a game's server (POST \
                      /_local/game-server).";

const OUTBOUND_EMAILS: &str = "/v2/email/outbound-emails";
const WHATSAPP_SEND: &str = "/v1/whatsapp/send";

pub struct Aws {
    pub dynamodb: DynamoDb,
    pub sqs: Sqs,
    pub secrets: SecretsManager,
    pub ses: Ses,
    pub sns: Sns,
    pub social_messaging: SocialMessaging,
    pub game_server: GameServer,
    pub scheduler: Scheduler,
    /// What each function's role allows.
    permissions: BTreeMap<String, Vec<Statement>>,
    faults: Faults,
    /// The processes that faults kill.
    lambda: Option<Lambda>,
    clock: Clock,
}

impl Aws {
    /// Builds the services with the resources that the template declares. What they send goes to
    /// `outside`.
    pub fn new(
        dynamodb: DynamoDb,
        sqs: Sqs,
        outside: Outside,
        template: &Template,
        now: Timestamp,
    ) -> Aws {
        let permissions = template
            .functions
            .iter()
            .map(|function| (function.name.clone(), function.statements.clone()))
            .collect();
        Aws {
            dynamodb,
            sqs,
            secrets: SecretsManager::new(&template.secrets, now),
            ses: Ses::new(outside.clone()),
            sns: Sns::new(template.topics.clone(), outside.clone()),
            social_messaging: SocialMessaging::new(outside.clone()),
            game_server: GameServer::new(outside),
            scheduler: Scheduler::in_memory(template),
            permissions,
            faults: Faults::default(),
            lambda: None,
            clock: Clock::default(),
        }
    }

    /// Makes calls meet these faults.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Aws {
        Aws { faults, ..self }
    }

    /// Lets faults kill these processes when a process calls the endpoint.
    #[must_use]
    pub fn with_lambda(self, lambda: Lambda) -> Aws {
        Aws {
            lambda: Some(lambda),
            ..self
        }
    }

    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Aws {
        Aws { clock, ..self }
    }

    /// With these schedules, which may outlive the program.
    #[must_use]
    pub fn with_scheduler(self, scheduler: Scheduler) -> Aws {
        Aws { scheduler, ..self }
    }

    /// Calls the targets of schedules that are due, until `stop` becomes true.
    pub async fn run_scheduler(self: Arc<Self>, stop: watch::Receiver<bool>) {
        scheduled::run(self, stop).await;
    }

    /// Answers a request to any of the services.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response<Body> {
        handle(self, request).await
    }
}

pub fn router(aws: Arc<Aws>) -> Router {
    let handle =
        |State(aws): State<Arc<Aws>>, request: Request| async move { aws.answer(request).await };
    Router::new().fallback(handle).with_state(aws)
}

/// The access key that a function's process gets at its start. The endpoint recognises the function
/// by this key.
pub fn access_key_id(function: &str) -> String {
    format!("LOCAL_{}", function.to_ascii_uppercase().replace('-', "_"))
}

/// The inverse of [`access_key_id`]; `None` for any other key.
pub fn function_of(access_key_id: &str) -> Option<String> {
    let name = access_key_id.strip_prefix("LOCAL_")?;
    Some(name.to_ascii_lowercase().replace('_', "-"))
}

/// One request to one operation of one service.
struct Call {
    service: Service,
    operation: String,
    /// The function that calls. Any other caller is allowed everything.
    function: Option<String>,
    /// Which of the function's processes calls.
    process: Option<u64>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// The request as JSON, whatever its form on the wire.
    fn request(&self) -> Result<Value, AwsError> {
        if self.service == Service::Sns {
            return Ok(query::request(&self.body));
        }
        // An absent body counts as an empty object: `aws sqs list-queues` sends none.
        let body = if self.body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&self.body).map_err(|problem| {
                let place = format!("line {}, column {}", problem.line(), problem.column());
                error(
                    400,
                    "SerializationException",
                    &format!("The body is not JSON: {place}."),
                )
            })?
        };
        Ok(match self.service {
            Service::Scheduler => scheduler::read_request(&self.uri, body),
            _ => body,
        })
    }
}

async fn handle(aws: &Arc<Aws>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAXIMUM_BODY).await else {
        let message = format!("The request's body is over {MAXIMUM_BODY} bytes, or ended early.");
        return refuse(None, &error(413, "RequestEntityTooLarge", &message));
    };
    let Some((service, operation)) = addressee(&head, &body) else {
        let unknown = unknown(&head);
        return if query::is_form(&head.headers) {
            query::refuse(&unknown)
        } else {
            refuse(None, &unknown)
        };
    };
    let call = Call {
        service,
        operation,
        function: caller(&head.headers).and_then(function_of),
        process: process(&head.headers),
        uri: head.uri,
        headers: head.headers,
        body,
    };
    match serve(aws, call, aws.clock.now()).await {
        Ok(answer) => answer,
        Err(error) => refuse(Some(service), &error),
    }
}

/// Checks, performs and answers every call of every service.
async fn serve(aws: &Arc<Aws>, call: Call, now: Timestamp) -> Result<Response<Body>, AwsError> {
    permit(aws, &call)?;
    faulty::perform(aws, call, now).await
}

async fn perform(aws: &Aws, call: &Call, now: Timestamp) -> Result<Response<Body>, AwsError> {
    let answer = match call.service {
        Service::DynamoDb => {
            let (headers, body) = (&call.headers, call.body.clone());
            return aws.dynamodb.answer(&call.operation, headers, body).await;
        }
        Service::Sqs => aws.sqs.handle(&call.operation, &call.request()?).await?,
        Service::SecretsManager => aws.secrets.handle(&call.operation, &call.request()?, now)?,
        Service::Ses => aws.ses.send_email(&call.request()?, now)?,
        Service::GameServer => {
            return aws
                .game_server
                .receive(&call.uri, &call.headers, &call.body, now);
        }
        Service::SocialMessaging => aws
            .social_messaging
            .send_whatsapp_message(&call.request()?, now)?,
        Service::Scheduler => aws
            .scheduler
            .handle(&call.operation, &call.request()?, now)?,
        Service::Sns => {
            let answer = aws.sns.handle(&call.operation, &call.request()?, now)?;
            return Ok(query::respond(&call.operation, &answer));
        }
    };
    Ok(respond(
        StatusCode::OK,
        call.service.content_type(),
        &answer,
    ))
}

/// Checks that the template allows a function this call, as AWS does.
fn permit(aws: &Aws, call: &Call) -> Result<(), AwsError> {
    let Some(function) = &call.function else {
        return Ok(());
    };
    let Some(statements) = aws.permissions.get(function) else {
        return Err(error(
            403,
            "UnrecognizedClientException",
            &format!(
                "The security token included in the request is invalid: there is no function \
                 {function}."
            ),
        ));
    };
    let needs = permissions::needed(call.service, &call.operation, &call.request()?);
    match permissions::first_refused(statements, &needs) {
        Some(refused) => Err(permissions::access_denied(call.service, function, refused)),
        None => Ok(()),
    }
}

/// The service and operation of a request. A header names the operation of JSON services, the path
/// that of other services, and the form that of SNS.
fn addressee(head: &Parts, body: &[u8]) -> Option<(Service, String)> {
    if let Some(target) = target(&head.headers) {
        let (service, operation) = target.split_once('.')?;
        let service = match service {
            "DynamoDB_20120810" => Service::DynamoDb,
            "AmazonSQS" => Service::Sqs,
            "secretsmanager" => Service::SecretsManager,
            _ => return None,
        };
        return Some((service, operation.to_owned()));
    }
    match (&head.method, head.uri.path()) {
        (&Method::POST, OUTBOUND_EMAILS) => Some((Service::Ses, "SendEmail".to_owned())),
        (&Method::POST, WHATSAPP_SEND) => {
            Some((Service::SocialMessaging, "SendWhatsAppMessage".to_owned()))
        }
        (&Method::POST, path) if is_game_server(path) => {
            Some((Service::GameServer, "POST".to_owned()))
        }
        (&Method::POST, _) if query::is_form(&head.headers) => {
            query::action(body).map(|action| (Service::Sns, action))
        }
        (method, path) => {
            let operation = scheduler::operation(method, path)?;
            Some((Service::Scheduler, operation.to_owned()))
        }
    }
}

fn is_game_server(path: &str) -> bool {
    let below = path.strip_prefix(game_server::PATH);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The form of a Query request, as the JSON that it stands for.
pub fn read_form(body: &[u8]) -> Value {
    query::request(body)
}

fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()
}

fn unknown(head: &Parts) -> AwsError {
    let asked = match target(&head.headers) {
        Some(target) => format!("X-Amz-Target: {target}"),
        None => format!("{} {}", head.method, head.uri.path()),
    };
    error(
        404,
        "UnknownOperationException",
        &format!("{asked} is not served here. {SERVED}"),
    )
}

/// The access key in `Authorization: AWS4-HMAC-SHA256 Credential=<access key>/<date>/...`.
fn caller(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split('/').next()
}

/// The process, from its own session token.
fn process(headers: &HeaderMap) -> Option<u64> {
    lambda::instance_of(headers.get("x-amz-security-token")?.to_str().ok()?)
}

fn error(status: u16, code: &str, message: &str) -> AwsError {
    AwsError {
        status,
        code: code.into(),
        message: message.into(),
        query_code: None,
    }
}

fn refuse(service: Option<Service>, error: &AwsError) -> Response<Body> {
    match service {
        Some(Service::Sns) => return query::refuse(error),
        Some(Service::GameServer) => return game_server::refuse(error),
        _ => {}
    }
    let kind = match service {
        Some(Service::Sqs) => format!("com.amazonaws.sqs#{}", error.code),
        Some(Service::DynamoDb) if is_modelled(&error.code) => {
            format!("com.amazonaws.dynamodb.v20120810#{}", error.code)
        }
        Some(Service::DynamoDb) => format!("com.amazon.coral.service#{}", error.code),
        _ => error.code.clone(),
    };
    let body = match service {
        // As its model spells the error's members.
        Some(Service::Scheduler) => json!({"Message": error.message}),
        _ => json!({"__type": kind, "message": error.message}),
    };
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = service.map_or("application/x-amz-json-1.0", Service::content_type);
    let mut answer = respond(status, content_type, &body);
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        answer.headers_mut().insert("x-amzn-errortype", code);
    }
    // Older clients know SQS's errors by the names of its former protocol.
    let fault = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    let query_error = error.query_code.map(|code| format!("{code};{fault}"));
    if let Some(Ok(value)) = query_error.as_deref().map(HeaderValue::from_str) {
        answer.headers_mut().insert("x-amzn-query-error", value);
    }
    answer
}

/// Whether the error is DynamoDB's own, rather than one that all services share.
fn is_modelled(code: &str) -> bool {
    matches!(
        code,
        "InternalServerError" | "ProvisionedThroughputExceededException"
    )
}

fn respond(status: StatusCode, content_type: &'static str, body: &Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    answer
}

#[cfg(test)]
mod tests;
