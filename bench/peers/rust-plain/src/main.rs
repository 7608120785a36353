//! The coupon webhook as a textbook Rust Lambda. This peer has no tuning: default credential chain,
//! default clients, an INPROGRESS record, the sends in a row, a COMPLETED record.
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::{run, service_fn, tracing, Body, Error, Request, Response};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Webhook {
    event: String,
    timestamp: String,
    company_id: String,
    customer: Customer,
    coupon: Coupon,
}

#[derive(Deserialize)]
struct Customer {
    member_id: String,
}

#[derive(Deserialize)]
struct Coupon {
    coupon_code: String,
    reward_id: String,
    points_spent: i64,
}

struct App {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    secret: String,
    table: String,
    queues: Vec<(&'static str, String)>,
}

fn reply(status: u16, value: serde_json::Value) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::Text(value.to_string()))?)
}

fn signature_ok(secret: &str, body: &[u8], header: Option<&str>) -> bool {
    let Some(hex_digest) = header.and_then(|h| h.strip_prefix("sha256=")) else {
        return false;
    };
    let Ok(expected) = hex::decode(hex_digest) else {
        return false;
    };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length is valid");
    mac.update(body);
    mac.verify_slice(&expected).is_ok()
}

fn valid(w: &Webhook) -> bool {
    matches!(w.event.as_str(), "coupon.redeemed" | "coupon.used")
        && w.timestamp.len() >= 20
        && w.timestamp.as_bytes()[10] == b'T'
        && !w.company_id.is_empty()
        && !w.customer.member_id.is_empty()
        && !w.coupon.coupon_code.is_empty()
        && !w.coupon.reward_id.is_empty()
        && w.coupon.points_spent >= 0
}

async fn handle(app: &App, req: Request) -> Result<Response<Body>, Error> {
    let signature = req
        .headers()
        .get("x-zupy-signature")
        .and_then(|v| v.to_str().ok());
    if !signature_ok(&app.secret, req.body().as_ref(), signature) {
        return reply(401, json!({"error": "invalid signature"}));
    }
    let webhook: Webhook = match serde_json::from_slice(req.body().as_ref()) {
        Ok(w) => w,
        Err(_) => return reply(400, json!({"error": "invalid body"})),
    };
    if !valid(&webhook) {
        return reply(400, json!({"error": "invalid body"}));
    }

    let key = hex::encode(Sha256::digest(format!(
        "{}|{}|{}|{}",
        webhook.event, webhook.company_id, webhook.coupon.coupon_code, webhook.timestamp
    )));
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
            "in_progress_expiration",
            AttributeValue::N((now.as_millis() + 30_000).to_string()),
        )
        .condition_expression(
            "attribute_not_exists(#id) OR #expiry < :now OR \
             (#status = :inprogress AND #in_progress_expiry < :now_ms)",
        )
        .expression_attribute_names("#id", "id")
        .expression_attribute_names("#expiry", "expiration")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#in_progress_expiry", "in_progress_expiration")
        .expression_attribute_values(":now", AttributeValue::N(now.as_secs().to_string()))
        .expression_attribute_values(":now_ms", AttributeValue::N(now.as_millis().to_string()))
        .expression_attribute_values(":inprogress", AttributeValue::S("INPROGRESS".into()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;

    if let Err(err) = put {
        let err = err.into_service_error();
        if let PutItemError::ConditionalCheckFailedException(e) = &err {
            let done = e
                .item()
                .and_then(|i| i.get("status"))
                .and_then(|s| s.as_s().ok())
                .is_some_and(|s| s == "COMPLETED");
            return if done {
                reply(200, json!({"status": "accepted"}))
            } else {
                reply(409, json!({"error": "in progress"}))
            };
        }
        return Err(err.into());
    }

    for (name, url) in &app.queues {
        let message = json!({
            "target": name,
            "event": webhook.event,
            "idempotency_key": key,
            "payload": serde_json::from_slice::<serde_json::Value>(req.body().as_ref())?,
        });
        app.sqs
            .send_message()
            .queue_url(url)
            .message_body(message.to_string())
            .send()
            .await?;
    }

    app.dynamodb
        .update_item()
        .table_name(&app.table)
        .key("id", AttributeValue::S(key))
        .update_expression("SET #status = :completed, #expiry = :expiry")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#expiry", "expiration")
        .expression_attribute_values(":completed", AttributeValue::S("COMPLETED".into()))
        .expression_attribute_values(
            ":expiry",
            AttributeValue::N((now.as_secs() + 86_400).to_string()),
        )
        .send()
        .await?;

    reply(200, json!({"status": "accepted"}))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_from_env().await;
    let queue_count: usize = std::env::var("QUEUE_COUNT")?.parse()?;
    let names = ["delivery", "inventory", "fraud", "analytics", "surveys"];
    let url = |name: &str| std::env::var(format!("QUEUE_URL_{}", name.to_uppercase()));
    let queues = names.into_iter().take(queue_count);
    let app = App {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
        secret: std::env::var("WEBHOOK_SECRET")?,
        table: std::env::var("TABLE_NAME")?,
        queues: queues
            .map(|name| Ok((name, url(name)?)))
            .collect::<Result<_, std::env::VarError>>()?,
    };
    let app = &app;
    run(service_fn(move |req: Request| async move {
        handle(app, req).await
    }))
    .await
}
