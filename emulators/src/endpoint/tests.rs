//! Calls the endpoint over HTTP, as functions and as other callers.

mod faults;
mod schedules;
mod sns;

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::*;
use crate::faults::{CallMode, Fault};
use crate::template::{Condition, Function, Resources, Role, Secret, Table, Topic};

struct Endpoint {
    url: String,
    outside: Outside,
    faults: Faults,
    sqs: Sqs,
}

fn statement(actions: &[&str], resource: String) -> Statement {
    Statement {
        actions: actions.iter().map(|&action| action.into()).collect(),
        resources: Resources::These(vec![resource]),
        conditions: vec![],
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

const SCHEDULES_ROLE: &str = "arn:aws:iam::000000000000:role/schedules";
const OTHER_ROLE: &str = "arn:aws:iam::000000000000:role/other";

fn schedules_role(arn: &str) -> Role {
    Role {
        arn: arn.into(),
        trusted: vec![scheduler::PRINCIPAL.into()],
        statements: vec![],
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
        statement(
            &["social-messaging:SendWhatsAppMessage"],
            arn("social-messaging", "phone-number-id/1"),
        ),
        statement(
            &["scheduler:CreateSchedule"],
            arn("scheduler", "schedule/surveys/*"),
        ),
        Statement {
            conditions: vec![Condition {
                key: "iam:PassedToService".into(),
                patterns: vec!["scheduler.amazonaws.com".into()],
            }],
            ..statement(&["iam:PassRole"], SCHEDULES_ROLE.into())
        },
        Statement {
            actions: vec!["sns:Publish".into()],
            resources: Resources::AllBut(vec!["arn:aws:sns:*:*:*".into()]),
            conditions: vec![],
        },
    ];
    let outside = Outside::open(None).unwrap();
    let sqs = Sqs::open(None).unwrap();
    let template = Template {
        functions: vec![function("zupy-coupon-used", statements)],
        queues: vec![],
        tables: vec![table],
        secrets: vec![secret],
        topics: vec![Topic {
            name: "alerts".into(),
            arn: arn("sns", "alerts"),
            display_name: None,
            subscriptions: vec![],
        }],
        roles: [SCHEDULES_ROLE, OTHER_ROLE].map(schedules_role).into(),
        schedule_groups: vec!["surveys".into(), "others".into()],
    };
    let aws = Aws::new(
        DynamoDb::start(None, &template.tables, Clock::default())
            .await
            .unwrap(),
        sqs.clone(),
        outside.clone(),
        &template,
        Timestamp::UNIX_EPOCH,
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faults = aws.faults.clone();
    tokio::spawn(axum::serve(listener, router(Arc::new(aws))).into_future());
    Endpoint {
        url,
        outside,
        faults,
        sqs,
    }
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
    /// Posts to a target, or to a path if the text starts with a slash. The caller is the function,
    /// or an unknown caller without one.
    async fn call(&self, function: Option<&str>, target: &str, body: Value) -> Answer {
        self.try_call(function, target, body).await.unwrap()
    }

    /// Like `call`, with an error if the connection ends without an answer.
    async fn try_call(
        &self,
        function: Option<&str>,
        target: &str,
        body: Value,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let path = if target.starts_with('/') {
            target
        } else {
            "/000000000000/any"
        };
        let mut request = Request::post(format!("{}{path}", self.url));
        if !target.starts_with('/') {
            request = request.header("x-amz-target", target);
        }
        let (head, body) = send(signed(request, function), body.to_string()).await?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap(),
        })
    }

    /// Sends a REST request.
    async fn rest(&self, function: Option<&str>, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method);
        let request = request.uri(format!("{}{path}", self.url));
        let sent = send(signed(request, function), body.to_string()).await;
        let (head, body) = sent.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap(),
        }
    }

    /// Posts a form of the Query protocol. Returns the answer's status and XML.
    async fn form(&self, function: Option<&str>, form: &str) -> (u16, String) {
        let request = Request::post(&self.url).header(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let (head, body) = send(signed(request, function), form.to_owned())
            .await
            .unwrap();
        assert_eq!(head.headers["content-type"], "text/xml");
        (
            head.status.as_u16(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }
}

fn signed(
    request: axum::http::request::Builder,
    function: Option<&str>,
) -> axum::http::request::Builder {
    let Some(function) = function else {
        return request;
    };
    let key = access_key_id(function);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host, Signature=0"
    );
    request
        .header("authorization", authorization)
        .header("x-amz-date", "20260101T000000Z")
}

async fn send(
    request: axum::http::request::Builder,
    body: String,
) -> Result<(axum::http::response::Parts, Bytes), hyper_util::client::legacy::Error> {
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await?.into_parts();
    Ok((head, body.collect().await.unwrap().to_bytes()))
}

const SMS: &str = "Action=Publish&Version=2010-03-31&PhoneNumber=%2B5511987654321&Message=CP-1";
const ALERT: &str = "Action=Publish&Version=2010-03-31&Message=CP-1\
                     &TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Aalerts";

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

fn whatsapp(from: &str) -> Value {
    let message =
        json!({"messaging_product": "whatsapp", "to": "5511987654321", "text": {"body": "CP-1"}});
    json!({
        "originationPhoneNumberId": from,
        "metaApiVersion": "v20.0",
        "message": STANDARD.encode(message.to_string()),
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
async fn every_service_answers_unknown_callers() {
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
    let whatsapp = endpoint
        .call(None, WHATSAPP_SEND, whatsapp("phone-number-id-1"))
        .await;
    assert!(whatsapp.body["messageId"].is_string());
    let sent = endpoint.outside.all().into_iter();
    let sent: Vec<_> = sent.map(|sent| sent.to).collect();
    assert_eq!(sent, ["ana@example.org", "5511987654321"]);
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
        (WHATSAPP_SEND, whatsapp("phone-number-id-1")),
    ] {
        let answer = endpoint.call(FUNCTION, target, body).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_function_may_not_do_what_the_template_does_not_allow() {
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
            "dynamodb:DeleteItem on resource: \
             arn:aws:dynamodb:us-east-1:000000000000:table/events because",
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
    let other = whatsapp("phone-number-id-2");
    let answer = endpoint.call(FUNCTION, WHATSAPP_SEND, other).await;
    answer.check_refused(
        403,
        "AccessDeniedException",
        "social-messaging:SendWhatsAppMessage on resource: \
         arn:aws:social-messaging:us-east-1:000000000000:phone-number-id/2",
    );
    assert_eq!(endpoint.outside.all(), []);
}

#[tokio::test]
async fn a_game_server_takes_what_is_forwarded_to_it() {
    let endpoint = start().await;
    let post = async |path: &str| {
        // `curl -d` declares a form, whatever it sends.
        let request = Request::post(format!("{}{path}", endpoint.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (head, body) = send(request, "{\"code\": \"CP-1\"}".into()).await.unwrap();
        let retry_after = head.headers.get("retry-after").cloned();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        (head.status.as_u16(), retry_after, body)
    };
    for path in ["/_local/game-server", "/_local/game-server/gm_1?a=b"] {
        assert_eq!(post(path).await.0, 200, "{path}");
        let sent = endpoint.outside.all().pop().unwrap();
        assert_eq!(sent.to, format!("{}{path}", endpoint.url));
        assert_eq!(sent.text.as_deref(), Some("{\"code\": \"CP-1\"}"));
    }
    assert_eq!(post("/_local/game-servers").await.0, 404);
    for (mode, expected) in [
        (CallMode::Fail, (500, None)),
        (CallMode::Throttle, (429, Some("2"))),
        (CallMode::FailWith(404), (404, None)),
    ] {
        let fault = Fault::service(Service::GameServer, mode);
        endpoint.faults.add(fault.once());
        let (status, retry_after, body) = post("/_local/game-server").await;
        let retry_after = retry_after.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!((status, retry_after), expected);
        assert_eq!(body["error"]["code"], "fault");
    }
    assert_eq!(endpoint.outside.all().len(), 2);
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
async fn an_unknown_operation_is_refused_with_a_list_of_services() {
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
