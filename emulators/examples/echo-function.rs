//! A function for the tests of `emulators::lambda`, which does what its event says.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    match std::env::var("START").as_deref() {
        Ok("fail") => {
            eprintln!("the table's name is missing");
            std::process::exit(3);
        }
        Ok("hang") => std::future::pending().await,
        _ => lambda_runtime::run(service_fn(handle)).await,
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    // The instructions are in the event itself, in a request's body, or in the first message's.
    let body = event["body"]
        .as_str()
        .or(event["Records"][0]["body"].as_str());
    let payload = body
        .and_then(|body| serde_json::from_str(body).ok())
        .filter(|body: &Value| body.get("do").is_some())
        .unwrap_or_else(|| event.clone());
    let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
    match payload["do"].as_str() {
        Some("answer") => Ok(payload["answer"].clone()),
        Some("print") => {
            println!("{}", text("line"));
            Ok(Value::Null)
        }
        Some("exit") => {
            eprintln!("out of memory");
            std::process::exit(4);
        }
        Some("exit-later") => {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                std::process::exit(5);
            });
            Ok(Value::Null)
        }
        Some("fail") => Err(text("message").into()),
        Some("hang") => std::future::pending().await,
        Some("large") => Ok(Value::String("x".repeat(7 * 1024 * 1024))),
        Some("context") => Ok(json!({
            "request_id": context.request_id,
            "deadline": context.deadline,
            "arn": context.invoked_function_arn,
            "trace": context.xray_trace_id,
            "process": std::process::id(),
            "home": std::env::var_os("HOME").is_some(),
            "color": std::env::var("COLOR").ok(),
        })),
        // A batch's report: each message says itself whether it fails.
        Some("report") => {
            let records = event["Records"].as_array().into_iter().flatten();
            let is_bad = |record: &&Value| {
                record["body"]
                    .as_str()
                    .is_some_and(|body| body.contains("bad"))
            };
            let failures: Vec<_> = records
                .filter(is_bad)
                .map(|record| json!({"itemIdentifier": record["messageId"]}))
                .collect();
            Ok(json!({"batchItemFailures": failures}))
        }
        // Waits until the other invocation has begun too, which proves that both run at once.
        Some("meet") => {
            let directory = text("in");
            std::fs::write(format!("{directory}/{}", std::process::id()), "")?;
            while std::fs::read_dir(&directory)?.count() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(Value::Null)
        }
        _ => Ok(payload),
    }
}
