//! The harness, in the domain's words: a shop that gets webhooks from providers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use emulators::sent::{Detail, Sent};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use local::binaries;
use local::system::{Options, System};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use webhooks::provider::{aghanim, zupy};
use webhooks::verify::{Scheme, Secrets};

use crate::openapi;

pub(crate) const AGHANIM: &str = "/webhooks/aghanim/coupon-redeemed";
pub(crate) const ZUPY_REDEEMED: &str = "/webhooks/zupy/coupon-redeemed";
pub(crate) const ZUPY_USED: &str = "/webhooks/zupy/coupon-used";
pub(crate) const ZUPY: &str = "/webhooks/zupy";

const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A running system.
pub(crate) struct Shop {
    pub(crate) system: System,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Pieces of `ERROR` lines that the test causes on purpose.
    expected_errors: Vec<&'static str>,
}

/// Opens a shop, runs the story, and closes the shop. At the end no queue may hold a message, and
/// no function may have logged an `ERROR` line that the story does not expect.
pub(crate) async fn in_a_shop(story: impl AsyncFnOnce(&mut Shop)) {
    in_a_shop_with(&[], story).await;
}

/// Few stories include the redemption of each coupon, and most have one member who redeems
/// everything at once.
const RULES: (&str, &str) = ("FraudRules", "unknown_coupon=off,rapid_redemption=off");

/// Like [`in_a_shop`], with other values for some of the template's parameters.
pub(crate) async fn in_a_shop_with(
    parameters: &[(&str, &str)],
    story: impl AsyncFnOnce(&mut Shop),
) {
    in_a_shop_at(0, parameters, story).await;
}

/// Like [`in_a_shop_with`], with the AWS endpoint on a known port, so that parameters can name it.
pub(crate) async fn in_a_shop_at(
    aws_port: u16,
    parameters: &[(&str, &str)],
    story: impl AsyncFnOnce(&mut Shop),
) {
    let parameters = [RULES]
        .iter()
        .chain(parameters)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let prepared = System::prepare(Options {
        template: root().join("template.yaml"),
        parameters: parameters.collect(),
        data_dir: None,
        port: 0,
        aws_port,
        log_output: None,
    })
    .await
    .unwrap();
    let binaries = built(&prepared.function_names()).await;
    let system = prepared.start(binaries).await.unwrap();
    let mut shop = Shop {
        system,
        client: Client::builder(TokioExecutor::new()).build_http(),
        expected_errors: Vec::new(),
    };
    story(&mut shop).await;
    shop.close().await;
}

/// Binaries of the workspace, built once for all tests of a process. The selection is that of the
/// test run itself; otherwise Cargo would build the dependencies again with other features.
pub(crate) async fn built(names: &[String]) -> BTreeMap<String, PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let selection = ["--workspace".to_owned(), "--all-targets".to_owned()];
    let build = async || {
        let coupons = ["coupons".to_owned()];
        let built = binaries::build(&root(), &coupons, &selection, true).await;
        built.unwrap()["coupons"].with_file_name("")
    };
    let directory = BUILT.get_or_init(build).await;
    binaries::in_directory(directory, names).unwrap()
}

/// A provider's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The status and the word that explains it: `200 accepted`, `409 conflicting_payload`.
    pub(crate) fn word(&self) -> String {
        let word = self.body["status"]
            .as_str()
            .or(self.body["error"]["code"].as_str());
        format!("{} {}", self.status, word.unwrap_or("?"))
    }

    /// One line for each problem: `coupon.points_spent is missing`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.body["error"]["problems"].as_array();
        let problems = problems.into_iter().flatten().map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap_or("?");
            format!("{} {}", text("field"), text("problem"))
        });
        problems.collect()
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The answer to a request for a report.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null if the body is not JSON.
    pub(crate) body: Value,
}

/// A page's answer, as a browser gets it.
#[derive(Debug)]
pub(crate) struct Visited {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Visited {
    pub(crate) fn header(&self, name: &str) -> String {
        text_of(&self.headers, name)
    }
}

/// A webhook before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) path: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    scheme: Scheme,
    secret: &'static str,
    signed_at: Timestamp,
}

impl Webhook {
    fn sample(path: &'static str, scheme: Scheme, secret: &'static str, body: &str) -> Self {
        Self {
            path,
            body: body.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            scheme,
            secret,
            signed_at: Timestamp::from_second(1_725_548_450).unwrap(),
        }
    }

    /// Sets a field of the body, by JSON pointer.
    pub(crate) fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.into();
        self.body = body.to_string().into_bytes();
        self
    }

    /// Removes a field from the body.
    pub(crate) fn unset(mut self, pointer: &str) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.remove(name).expect("the sample has the field");
        self.body = body.to_string().into_bytes();
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn to(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn secret(mut self, secret: &'static str) -> Self {
        self.secret = secret;
        self
    }

    pub(crate) fn signed_at(mut self, at: Timestamp) -> Self {
        self.signed_at = at;
        self
    }

    pub(crate) fn signature(&self) -> Vec<(&'static str, String)> {
        let secrets = Secrets::parse(self.secret).unwrap();
        self.scheme
            .sign(&self.body, secrets.first(), self.signed_at)
    }
}

/// When the coupons of [`redeemed`] and [`v2`] expire. An expired coupon would cause no message.
pub(crate) const EXPIRES_AT: &str = "2125-09-26T14:20:00Z";

/// Zupy's webhook: a customer turned points into a coupon.
pub(crate) fn redeemed(code: &str) -> Webhook {
    let body = include_str!("../../events/samples/zupy-coupon-redeemed.json");
    Webhook::sample(ZUPY_REDEEMED, zupy::V1, "local-zupy-secret", body)
        .set("/coupon/coupon_code", code)
        .set("/coupon/expires_at", EXPIRES_AT)
}

/// Zupy's webhook: a coupon was used for an order.
pub(crate) fn used(code: &str, order: &str) -> Webhook {
    let body = include_str!("../../events/samples/zupy-coupon-used.json");
    Webhook::sample(ZUPY_USED, zupy::V1, "local-zupy-secret", body)
        .set("/usage/coupon_code", code)
        .set("/usage/order_id", order)
}

/// A webhook in Zupy's format v2: `reward.redeemed`, `coupon.used`, `coupon.cancelled` and others.
pub(crate) fn v2(kind: &str) -> Webhook {
    let body = match kind {
        "reward.redeemed" => include_str!("../../events/samples/zupy-v2-reward-redeemed.json"),
        "coupon.used" => include_str!("../../events/samples/zupy-v2-coupon-used.json"),
        "coupon.cancelled" => include_str!("../../events/samples/zupy-v2-coupon-cancelled.json"),
        "coupon.expiring" => include_str!("../../events/samples/zupy-v2-coupon-expiring.json"),
        "coupon.expired" => include_str!("../../events/samples/zupy-v2-coupon-expired.json"),
        "customer.enrolled" => include_str!("../../events/samples/zupy-v2-customer-enrolled.json"),
        other => panic!("there is no sample of {other}"),
    };
    let webhook = Webhook::sample(ZUPY, zupy::V2, "local-zupy-secret", body);
    match kind {
        "reward.redeemed" => webhook.set("/data/valid_until", EXPIRES_AT),
        _ => webhook,
    }
}

/// A secret that names the samples' company, because v2 itself names none.
pub(crate) const OWN_SECRET: (&str, &str) =
    ("ZupyWebhookSecrets", "comp_bella_vista=local-zupy-secret");

/// An event of v2 about the v1 sample's member, for a shop with [`OWN_SECRET`].
pub(crate) fn reported(kind: &str, code: &str) -> Webhook {
    v2(kind)
        .set("/data/coupon_code", code)
        .set("/data/customer_id", MEMBER)
}

/// Aghanim's webhook: a player redeemed a code.
pub(crate) fn code_redeemed(idempotency_key: &str) -> Webhook {
    let body = include_str!("../../events/samples/aghanim-coupon-redeemed.json");
    Webhook::sample(AGHANIM, aghanim::SCHEME, "local-aghanim-secret", body)
        .set("/idempotency_key", idempotency_key)
}

/// The company of Zupy's samples, as the keys in the tables have it.
pub(crate) const COMPANY: &str = "comp_bella_vista";
pub(crate) const MEMBER: &str = "ZP-4F95FB0A";

/// An attribute of a publication.
pub(crate) fn attribute(alert: &Sent, name: &str) -> String {
    let Detail::Topic(publication) = &alert.detail else {
        panic!("{alert:?}");
    };
    publication.attributes[name].clone()
}

impl Shop {
    /// Signs a webhook as its provider does, and posts it.
    pub(crate) async fn send(&self, webhook: Webhook) -> Answer {
        let signature = webhook.signature();
        let signature = signature
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let mut signed = webhook.clone();
        signed.headers.extend(signature);
        self.post(signed).await
    }

    /// Sends events one after another, each after the tasks of the one before.
    pub(crate) async fn send_in_turn(&self, webhooks: &[Webhook]) {
        for webhook in webhooks {
            let answer = self.send(webhook.clone()).await;
            assert_eq!(answer.word(), "200 accepted", "{:?}", answer.body);
            self.settle().await;
        }
    }

    /// Posts a webhook with exactly these headers.
    pub(crate) async fn post(&self, webhook: Webhook) -> Answer {
        let url = format!("{}{}", self.system.gateway_url(), webhook.path);
        let mut request = Request::post(url);
        for (name, value) in &webhook.headers {
            request = request.header(name, value.as_bytes());
        }
        let request = request.body(Full::from(webhook.body)).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let content_type = text_of(&head.headers, "content-type");
        openapi::check(
            "POST",
            webhook.path,
            head.status.as_u16(),
            &content_type,
            &body,
        );
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// Requests a report with the local token.
    pub(crate) async fn report(&self, path: &str) -> Reported {
        self.report_as(Some("local-report-token"), path).await
    }

    /// Requests a report with another token, or with none.
    pub(crate) async fn report_as(&self, token: Option<&str>, path: &str) -> Reported {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers = bearer.as_deref().map(|bearer| ("authorization", bearer));
        let headers: Vec<_> = headers.into_iter().collect();
        self.report_with(&headers, path).await
    }

    pub(crate) async fn report_with(&self, headers: &[(&str, &str)], path: &str) -> Reported {
        let mut request = Request::get(format!("{}{path}", self.system.gateway_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let content_type = text_of(&head.headers, "content-type");
        let route = path.split('?').next().unwrap();
        openapi::check("GET", route, head.status.as_u16(), &content_type, &body);
        Reported {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            text: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// Requests a page as a browser does, but follows no redirection.
    pub(crate) async fn visit(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Visited {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.system.gateway_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let content_type = text_of(&head.headers, "content-type");
        let route = path.split('?').next().unwrap();
        openapi::check(method, route, head.status.as_u16(), &content_type, &body);
        Visited {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// Signs in to the dashboard with a token. Returns the session's cookie, or an empty text.
    pub(crate) async fn sign_in(&self, token: &str) -> String {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let origin = ("origin", self.system.gateway_url());
        let body = format!("token={token}");
        let path = "/dashboard/sign-in";
        let visited = self.visit("POST", path, &[form, origin], &body).await;
        let cookie = text_of(&visited.headers, "set-cookie");
        cookie.split(';').next().unwrap_or_default().to_owned()
    }

    /// Requests a page of the dashboard with a session's cookie.
    pub(crate) async fn page(&self, cookie: &str, path: &str) -> Reported {
        self.report_with(&[("cookie", cookie)], path).await
    }

    /// Calls the AWS endpoint as any client may.
    pub(crate) async fn aws(&self, target: &str, body: &Value) -> Value {
        let request = Request::post(self.system.aws_url())
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0")
            .body(Full::from(body.to_string()))
            .unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(head.status.is_success(), "{target}: {body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    /// The answer of a page below `/_local`.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.system.gateway_url());
        let request = Request::get(url).body(Full::default()).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.status.as_u16(),
            String::from_utf8(body.into()).unwrap(),
        )
    }

    /// Sends a request below `/_local`, with a body that may be empty.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = match body {
            Value::Null => Bytes::new(),
            body => body.to_string().into(),
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.system.gateway_url()))
            .body(Full::from(body))
            .unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    /// Waits until everything is done, including retries, without the pauses between them.
    pub(crate) async fn settle_retries(&self) {
        loop {
            self.settle().await;
            if self.hurry() == 0 {
                return;
            }
        }
    }

    /// Makes every message visible that waits for its next attempt. Returns how many messages
    /// became visible.
    pub(crate) fn hurry(&self) -> usize {
        let functions = self.system.template().functions.iter();
        let queues = functions.flat_map(|function| &function.sources);
        let sqs = self.system.sqs();
        queues.map(|source| sqs.hurry(&source.queue).unwrap()).sum()
    }

    /// Waits until everything is done.
    pub(crate) async fn settle(&self) {
        let settled = self.system.settle(SETTLES_WITHIN).await;
        assert!(settled, "still busy: {:?}", self.system.queues());
    }

    pub(crate) fn mails(&self) -> Vec<Sent> {
        self.sent("email")
    }

    /// The messages of a channel: `email`, `whatsapp`, `sms`, `topic`, `game-server`.
    pub(crate) fn sent(&self, channel: &str) -> Vec<Sent> {
        let sent = self.system.sent().into_iter();
        sent.filter(|sent| sent.channel == channel).collect()
    }

    /// All messages except alerts, which go to operators.
    pub(crate) fn sent_to_people(&self) -> Vec<Sent> {
        let sent = self.system.sent().into_iter();
        sent.filter(|sent| sent.channel != "topic").collect()
    }

    /// A coupon's rows in the ledger, by entry.
    pub(crate) async fn ledger(&self, code: &str) -> BTreeMap<String, Value> {
        let coupon = format!("zupy#{COMPANY}#{code}");
        let rows = self.system.items("events").await.unwrap().into_iter();
        rows.filter(|row| row["coupon"] == coupon.as_str())
            .map(|row| (row["entry"].as_str().unwrap().to_owned(), row))
            .collect()
    }

    /// The result of a task's record: `done`, or `failed: a reason`.
    pub(crate) async fn record(&self, code: &str, record: &str) -> String {
        let ledger = self.ledger(code).await;
        let Some(row) = ledger.get(record) else {
            return "no record".into();
        };
        let status = row["status"].as_str().unwrap();
        match row["result"].as_str() {
            Some(result) if status != "done" => format!("{status}: {result}"),
            _ => status.to_owned(),
        }
    }

    /// A member's account: their coupons, as one Query returns them.
    pub(crate) async fn account(&self, member: &str) -> Vec<Value> {
        let key = format!("zupy#{COMPANY}#{member}");
        let rows = self.system.items("members").await.unwrap().into_iter();
        let is_line = |row: &Value| row["entry"].as_str().unwrap().starts_with("figures#");
        rows.filter(|row| row["member"] == key.as_str() && !is_line(row))
            .collect()
    }

    /// The members table without the lines that analytics wrote.
    pub(crate) async fn members(&self) -> Vec<Value> {
        let rows = self.system.items("members").await.unwrap().into_iter();
        rows.filter(|row| !row["entry"].as_str().unwrap().starts_with("figures#"))
            .collect()
    }

    /// The stock on hand of a product.
    pub(crate) async fn stock(&self, product: &str) -> f64 {
        let rows = self.system.items("stock").await.unwrap().into_iter();
        let mut of_product = rows.filter(|row| row["product"] == product);
        let row = of_product.find(|row| !row["on_hand"].is_null()).unwrap();
        row["on_hand"].as_f64().unwrap()
    }

    /// The quantity of a product that is reserved now.
    pub(crate) async fn reserved(&self, product: &str) -> f64 {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        let query = json!({
            "TableName": "events",
            "IndexName": "reservations",
            "KeyConditionExpression": "reserves = :product AND reserved_until > :now",
            "ExpressionAttributeValues": {
                ":product": {"S": format!("zupy#{COMPANY}#{}", product.to_lowercase())},
                ":now": {"S": now.to_string()},
            },
        });
        let found = self.aws("DynamoDB_20120810.Query", &query).await;
        let items = found["Items"].as_array().unwrap().iter();
        items
            .map(|row| {
                row["quantity"]["N"]
                    .as_str()
                    .unwrap()
                    .parse::<f64>()
                    .unwrap()
            })
            .sum()
    }

    /// The alerts about stock.
    pub(crate) fn alerts(&self) -> Vec<Sent> {
        let alerts = self.sent("topic").into_iter();
        alerts
            .filter(|alert| attribute(alert, "type") != "fraud")
            .collect()
    }

    /// The alerts about fraud.
    pub(crate) fn fraud_alerts(&self) -> Vec<Sent> {
        let alerts = self.sent("topic").into_iter();
        alerts
            .filter(|alert| attribute(alert, "type") == "fraud")
            .collect()
    }

    /// Expects functions to log an `ERROR` line that contains this.
    pub(crate) fn expect_error(&mut self, piece: &'static str) {
        self.expected_errors.push(piece);
    }

    async fn close(self) {
        self.settle().await;
        let left: BTreeMap<_, _> = self
            .system
            .queues()
            .into_iter()
            .map(|(name, counts)| (name, counts.visible + counts.in_flight + counts.delayed))
            .collect();
        let functions = &self.system.template().functions;
        let errors: Vec<String> = functions
            .iter()
            .flat_map(|function| self.system.logs(&function.name))
            .map(|line| line.line)
            .filter(|line| line.contains("ERROR") || line.contains("panicked"))
            .filter(|line| {
                !self
                    .expected_errors
                    .iter()
                    .any(|piece| line.contains(piece))
            })
            .collect();
        self.system.stop().await;
        for (queue, messages) in left {
            assert_eq!(messages, 0, "left in the queue {queue}");
        }
        assert_eq!(errors, Vec::<String>::new(), "unexpected errors");
    }
}
