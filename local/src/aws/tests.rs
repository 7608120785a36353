//! The endpoint over HTTP, called by functions and by others.

use std::net::Ipv4Addr;

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::*;
use crate::sent::Outside;
use crate::template::{Secret, Table};

struct Endpoint {
    url: String,
    outside: Outside,
}

fn statement(actions: &[&str], resource: String) -> Statement {
    Statement {
        actions: actions.iter().map(|&action| action.into()).collect(),
        resources: vec![resource],
    }
}

fn function(name: &str, statements: Vec<Statement>) -> Function {
    Function {
        name: name.into(),
        logical_id: name.into(),
        timeout_s: 3,
        memory_mb: 128,
        environment: BTreeMap::new(),
        routes: vec![],
        sources: vec![],
        schedules: vec![],
        statements,
    }
}

async fn start() -> Endpoint {
    let arn = crate::template::arn;
    let table = Table {
        name: "events".into(),
        create: json!({
            "TableName": "events",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "coupon", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "coupon", "KeyType": "HASH"}],
        }),
        ttl_attribute: None,
    };
    let secret = Secret {
        name: "zupy-secrets".into(),
        arn: arn("secretsmanager", "secret:zupy-secrets"),
        value: "secret".into(),
    };
    let statements = vec![
        statement(
            &["dynamodb:PutItem", "dynamodb:GetItem"],
            arn("dynamodb", "table/events"),
        ),
        statement(
            &["secretsmanager:GetSecretValue"],
            arn("secretsmanager", "secret:zupy-secrets"),
        ),
        statement(&["ses:SendEmail"], arn("ses", "identity/example.com")),
    ];
    let outside = Outside::open(None).unwrap();
    let aws = Aws::new(
        DynamoDb::start(None, &[table]).await.unwrap(),
        Sqs::open(None).unwrap(),
        SecretsManager::new(&[secret], Timestamp::UNIX_EPOCH),
        Ses::new(outside.clone()),
        &[function("zupy-coupon-used", statements)],
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router(Arc::new(aws))).into_future());
    Endpoint { url, outside }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn check_refused(&self, status: u16, code: &str, message: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["x-amzn-errortype"], code);
        let kind = self.body["__type"].as_str().unwrap();
        assert!(kind.ends_with(code), "{kind}");
        let actual = self.body["message"].as_str().unwrap();
        assert!(actual.contains(message), "{actual}");
    }
}

impl Endpoint {
    /// Posts to a target, or if it starts with a slash to a path; as a function, or as nobody in particular.
    async fn call(&self, function: Option<&str>, target: &str, body: Value) -> Answer {
        let path = if target.starts_with('/') {
            target
        } else {
            "/000000000000/any"
        };
        let mut request = Request::post(format!("{}{path}", self.url));
        if !target.starts_with('/') {
            request = request.header("x-amz-target", target);
        }
        if let Some(function) = function {
            let key = access_key_id(function);
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
            );
            request = request
                .header("authorization", authorization)
                .header("x-amz-date", "20260101T000000Z");
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap(),
        }
    }
}

fn put() -> Value {
    json!({"TableName": "events", "Item": {"coupon": {"S": "c"}}})
}

fn email(from: &str) -> Value {
    json!({
        "FromEmailAddress": from,
        "Destination": {"ToAddresses": ["ana@example.org"]},
        "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
    })
}

const FUNCTION: Option<&str> = Some("zupy-coupon-used");

#[test]
fn an_access_key_id_names_its_function_and_is_legal_in_a_credential() {
    let key = access_key_id("zupy-coupon-used");
    assert_eq!(key, "LOCAL_ZUPY_COUPON_USED");
    assert_eq!(function_of(&key).as_deref(), Some("zupy-coupon-used"));
    assert_eq!(function_of("AKIAIOSFODNN7EXAMPLE"), None);
}

#[tokio::test]
async fn every_service_answers_anybody() {
    let endpoint = start().await;
    let put = endpoint
        .call(None, "DynamoDB_20120810.PutItem", put())
        .await;
    assert_eq!((put.status, put.body), (200, json!({})));
    let body = json!({"SecretId": "zupy-secrets"});
    let secret = endpoint
        .call(None, "secretsmanager.GetSecretValue", body)
        .await;
    assert_eq!(secret.body["SecretString"], "secret");
    assert_eq!(secret.headers["content-type"], "application/x-amz-json-1.1");
    let sent = endpoint.call(None, OUTBOUND_EMAILS, email("a@b.c")).await;
    assert_eq!(sent.status, 200);
    assert!(sent.headers.contains_key("x-amzn-requestid"));
    assert_eq!(endpoint.outside.all()[0].to, "ana@example.org");
}

#[tokio::test]
async fn a_function_does_what_the_template_allows() {
    let endpoint = start().await;
    let transaction = json!({"TransactItems": [{"Put": put()}]});
    let batch =
        json!({"TransactItems": [{"Get": {"TableName": "events", "Key": {"coupon": {"S": "c"}}}}]});
    let secret =
        json!({"SecretId": "arn:aws:secretsmanager:us-east-1:000000000000:secret:zupy-secrets"});
    for (target, body) in [
        ("DynamoDB_20120810.PutItem", put()),
        ("DynamoDB_20120810.TransactWriteItems", transaction),
        ("DynamoDB_20120810.TransactGetItems", batch),
        ("secretsmanager.GetSecretValue", secret),
        (OUTBOUND_EMAILS, email("Shop <shop@example.com>")),
    ] {
        let answer = endpoint.call(FUNCTION, target, body).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_function_is_refused_what_the_template_does_not_allow() {
    let endpoint = start().await;
    let key = json!({"TableName": "events", "Key": {"coupon": {"S": "c"}}});
    let mixed = json!({"TransactItems": [{"Put": put()}, {"Delete": key}]});
    let check = json!({"TransactItems": [{"ConditionCheck": key}]});
    let index = json!({"TableName": "events", "IndexName": "by-entry"});
    let batch =
        json!({"RequestItems": {"events": [{"PutRequest": {"Item": {"coupon": {"S": "c"}}}}]}});
    for (operation, body, missing) in [
        (
            "DeleteItem",
            key.clone(),
            "dynamodb:DeleteItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/events because",
        ),
        ("TransactWriteItems", mixed, "dynamodb:DeleteItem"),
        ("TransactWriteItems", check, "dynamodb:ConditionCheckItem"),
        ("Query", index, "table/events/index/by-entry"),
        ("BatchWriteItem", batch, "dynamodb:BatchWriteItem"),
        (
            "ListTables",
            json!({}),
            "dynamodb:ListTables on resource: *",
        ),
    ] {
        let target = format!("DynamoDB_20120810.{operation}");
        let answer = endpoint.call(FUNCTION, &target, body).await;
        answer.check_refused(400, "AccessDeniedException", missing);
    }
    let message = json!({"QueueUrl": "http://127.0.0.1:4566/000000000000/delivery", "Entries": []});
    let answer = endpoint
        .call(FUNCTION, "AmazonSQS.SendMessageBatch", message)
        .await;
    answer.check_refused(
        403,
        "AccessDeniedException",
        "sqs:SendMessage on resource: arn:aws:sqs:us-east-1:000000000000:delivery",
    );
    assert_eq!(answer.headers["x-amzn-query-error"], "AccessDenied;Sender");
    let answer = endpoint
        .call(
            FUNCTION,
            "secretsmanager.GetSecretValue",
            json!({"SecretId": "other"}),
        )
        .await;
    answer.check_refused(
        400,
        "AccessDeniedException",
        "assumed-role/zupy-coupon-used is not authorized",
    );
    let answer = endpoint
        .call(FUNCTION, OUTBOUND_EMAILS, email("a@b.c"))
        .await;
    answer.check_refused(403, "AccessDeniedException", "`ses:SendEmail'");
    let mut with_set = email("shop@example.com");
    with_set["ConfigurationSetName"] = json!("tracked");
    let answer = endpoint.call(FUNCTION, OUTBOUND_EMAILS, with_set).await;
    answer.check_refused(403, "AccessDeniedException", "configuration-set/tracked");
    assert_eq!(endpoint.outside.all(), []);
}

#[tokio::test]
async fn a_function_that_the_template_lacks_is_refused() {
    let endpoint = start().await;
    let answer = endpoint
        .call(Some("nobody"), "DynamoDB_20120810.PutItem", put())
        .await;
    answer.check_refused(
        403,
        "UnrecognizedClientException",
        "there is no function nobody",
    );
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_what_is() {
    let endpoint = start().await;
    for target in ["Lambda.Invoke", "/v2/email/identities", "/"] {
        let answer = endpoint.call(None, target, json!({})).await;
        answer.check_refused(
            404,
            "UnknownOperationException",
            "This endpoint serves DynamoDB",
        );
    }
    let answer = endpoint
        .call(None, "secretsmanager.DeleteSecret", json!({}))
        .await;
    answer.check_refused(400, "UnknownOperationException", "not DeleteSecret");
}
