//! The same SDK with careful settings, to show the cost that remains if only its use changes.
//! Credentials and region come straight from the environment, connections open during init, one
//! thread runs, and all sends start at once. As in the textbook peer, it makes two writes, and the
//! answer comes last.
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::{join_all, try_join_all};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::{run, service_fn, Body, Error, Request, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Webhook<'a> {
    event: &'a str,
    timestamp: &'a str,
    company_id: &'a str,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    coupon: Coupon<'a>,
}

#[derive(Deserialize)]
struct Customer<'a> {
    member_id: &'a str,
}

#[derive(Deserialize)]
struct Coupon<'a> {
    coupon_code: &'a str,
    reward_id: &'a str,
    points_spent: i64,
}

const QUEUES: [&str; 5] = ["delivery", "inventory", "fraud", "analytics", "surveys"];

struct App {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    secret: String,
    table: String,
    /// The URLs of the queues in use: as many as the settings ask for.
    urls: Vec<String>,
}

fn reply(status: u16, text: &'static str) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(text.into())?)
}

fn signature_ok(secret: &str, body: &[u8], header: Option<&str>) -> bool {
    let mut expected = [0; 32];
    let given = header.and_then(|h| h.strip_prefix("sha256="));
    if given.is_none_or(|h| hex::decode_to_slice(h, &mut expected).is_err()) {
        return false;
    }
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length is valid");
    mac.update(body);
    mac.verify_slice(&expected).is_ok()
}

fn parse(body: &[u8]) -> Option<Webhook<'_>> {
    let w: Webhook = serde_json::from_slice(body).ok()?;
    let filled = [
        w.company_id,
        w.customer.member_id,
        w.coupon.coupon_code,
        w.coupon.reward_id,
    ];
    let ok = matches!(w.event, "coupon.redeemed" | "coupon.used")
        && w.timestamp.len() >= 20
        && w.timestamp.as_bytes()[10] == b'T'
        && filled.iter().all(|f| !f.is_empty())
        && w.coupon.points_spent >= 0;
    ok.then_some(w)
}

async fn handle(app: &App, req: Request) -> Result<Response<Body>, Error> {
    let body: &[u8] = req.body().as_ref();
    let signature = req
        .headers()
        .get("x-zupy-signature")
        .and_then(|v| v.to_str().ok());
    if !signature_ok(&app.secret, body, signature) {
        return reply(401, r#"{"error":"invalid signature"}"#);
    }
    let Some(w) = parse(body) else {
        return reply(400, r#"{"error":"invalid body"}"#);
    };
    let key = format!(
        "{}|{}|{}|{}",
        w.event, w.company_id, w.coupon.coupon_code, w.timestamp
    );
    let key = hex::encode(Sha256::digest(key));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;

    let put = app
        .dynamodb
        .put_item()
        .table_name(&app.table)
        .item("id", AttributeValue::S(key.clone()))
        .item("status", AttributeValue::S("INPROGRESS".into()))
        .item(
            "expiration",
            AttributeValue::N((now.as_secs() + 86_400).to_string()),
        )
        .item(
            "lease",
            AttributeValue::N((now.as_millis() + 30_000).to_string()),
        )
        .condition_expression(
            "attribute_not_exists(id) OR expiration < :n OR (#s = :p AND lease < :m)",
        )
        .expression_attribute_names("#s", "status")
        .expression_attribute_values(":n", AttributeValue::N(now.as_secs().to_string()))
        .expression_attribute_values(":m", AttributeValue::N(now.as_millis().to_string()))
        .expression_attribute_values(":p", AttributeValue::S("INPROGRESS".into()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    if let Err(err) = put {
        let err = err.into_service_error();
        let PutItemError::ConditionalCheckFailedException(e) = &err else {
            return Err(err.into());
        };
        let status = e
            .item()
            .and_then(|i| i.get("status"))
            .and_then(|s| s.as_s().ok());
        return match status.map(String::as_str) {
            Some("COMPLETED") => reply(200, r#"{"status":"accepted"}"#),
            _ => reply(409, r#"{"error":"in progress"}"#),
        };
    }

    let text = std::str::from_utf8(body)?;
    let send = |n: usize| {
        // The function has parsed the body, so it can embed the body as it came.
        let message = format!(
            r#"{{"target":"{}","event":"{}","idempotency_key":"{key}","payload":{text}}}"#,
            QUEUES[n], w.event
        );
        app.sqs
            .send_message()
            .queue_url(&app.urls[n])
            .message_body(message)
            .send()
    };
    try_join_all((0..app.urls.len()).map(send)).await?;

    app.dynamodb
        .update_item()
        .table_name(&app.table)
        .key("id", AttributeValue::S(key))
        .update_expression("SET #s = :c")
        .expression_attribute_names("#s", "status")
        .expression_attribute_values(":c", AttributeValue::S("COMPLETED".into()))
        .send()
        .await?;
    reply(200, r#"{"status":"accepted"}"#)
}

/// Opens the connections that the first event needs, while Lambda still gives init a whole core.
/// The answers do not matter, because a refused read opens the connection too.
async fn warm(app: &App) {
    let read = app
        .dynamodb
        .get_item()
        .table_name(&app.table)
        .key("id", AttributeValue::S("warm".into()))
        .send();
    let ask = |n: usize| {
        app.sqs
            .get_queue_attributes()
            .queue_url(&app.urls[n])
            .send()
    };
    let _ = tokio::join!(read, join_all((0..app.urls.len()).map(ask)));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .region(EnvironmentVariableRegionProvider::new())
        .load()
        .await;
    let queue_count: usize = std::env::var("QUEUE_COUNT")?.parse()?;
    let url = |name: &str| std::env::var(format!("QUEUE_URL_{}", name.to_uppercase()));
    let urls = QUEUES.into_iter().take(queue_count).map(url);
    let app = App {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
        secret: std::env::var("WEBHOOK_SECRET")?,
        table: std::env::var("TABLE_NAME")?,
        urls: urls.collect::<Result<_, _>>()?,
    };
    warm(&app).await;
    let app = &app;
    run(service_fn(move |req: Request| async move {
        handle(app, req).await
    }))
    .await
}
