//! DynamoDB: dynoxide in this process, with the template's tables, behind its own HTTP server or
//! called directly. What DynamoDB refuses and dynoxide accepts is refused before it.

mod direct;
mod expiring;
mod expression;
mod requests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use dynoxide::Database;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::list_tables::ListTablesRequest;
use dynoxide::actions::scan::ScanRequest;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::AwsError;
use crate::clock::Clock;
use crate::template::Table;
use expiring::Expiring;

const JSON: &str = "application/x-amz-json-1.0";

/// dynoxide checks that a request has a signature, but does not verify it.
const UNSIGNED: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                        SignedHeaders=host;x-amz-date, Signature=0";

#[derive(Clone)]
pub struct DynamoDb {
    database: Database,
    /// `None` if the emulator answers requests without a server.
    server: Option<Server>,
}

#[derive(Clone)]
struct Server {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    expiring: Expiring,
    _running: Arc<Running>,
}

/// Ends the server and the sweep with the last [`DynamoDb`].
struct Running {
    _stop_server: oneshot::Sender<()>,
    sweep: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sweep.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableCount {
    pub name: String,
    pub items: usize,
}

impl DynamoDb {
    /// Starts with these tables, in memory or in the directory's `dynamodb.sqlite`, which keeps
    /// tables and items.
    pub async fn start(
        data_dir: Option<&Path>,
        tables: &[Table],
        clock: Clock,
    ) -> anyhow::Result<DynamoDb> {
        let file = data_dir.map(|directory| directory.join("dynamodb.sqlite"));
        let database = match &file {
            Some(file) => Database::new(&file.to_string_lossy())
                .with_context(|| format!("opening {}", file.display()))?,
            None => Database::memory().context("opening a DynamoDB in memory")?,
        };
        let place = file.map_or_else(|| "memory".to_owned(), |file| file.display().to_string());
        for table in tables {
            declare(&database, table, &place)?;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("opening a port for DynamoDB")?;
        let address = listener
            .local_addr()
            .context("opening a port for DynamoDB")?;
        let (stop_server, stopped) = oneshot::channel::<()>();
        let served = database.clone();
        tokio::spawn(async move {
            let stopped = async {
                stopped.await.ok();
            };
            if let Err(error) =
                dynoxide::server::serve_with_shutdown(listener, served, stopped).await
            {
                tracing::error!("DynamoDB stopped: {error}");
            }
        });
        let expiring = Expiring {
            database: database.clone(),
            clock,
            tables: tables.iter().filter_map(expiring).collect(),
        };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(DynamoDb {
            server: Some(Server {
                address,
                client: Client::builder(TokioExecutor::new()).build(connector),
                _running: Arc::new(Running {
                    _stop_server: stop_server,
                    sweep: tokio::spawn(expiring.clone().sweep_again_and_again()),
                }),
                expiring,
            }),
            database,
        })
    }

    /// Starts with these tables in memory and without a network, because simulated time does not
    /// wait for one. It serves the operations on items alone.
    pub fn without_server(tables: &[Table]) -> anyhow::Result<DynamoDb> {
        let database = Database::memory().context("opening a DynamoDB in memory")?;
        for table in tables {
            declare(&database, table, "memory")?;
        }
        Ok(DynamoDb {
            database,
            server: None,
        })
    }

    /// Answers a request for an operation.
    pub async fn answer(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, AwsError> {
        requests::check(&self.database, operation, &body)?;
        match &self.server {
            Some(server) => server.forward(headers, body).await,
            None => direct::answer(&self.database, operation, &body),
        }
    }

    /// Removes the items past their time to live.
    pub async fn sweep(&self) {
        if let Some(server) = &self.server {
            server.expiring.sweep().await;
        }
    }

    /// All items of a table as plain JSON: numbers as numbers, sets as lists, binaries as base64.
    pub async fn scan(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        self.scan_those(table, None).await
    }

    /// Those items of a table that have an attribute, in the form of [`Self::scan`].
    pub async fn scan_having(&self, table: &str, attribute: &str) -> anyhow::Result<Vec<Value>> {
        let filter = format!("attribute_exists({attribute})");
        self.scan_those(table, Some(filter)).await
    }

    async fn scan_those(&self, table: &str, filter: Option<String>) -> anyhow::Result<Vec<Value>> {
        let database = self.database.clone();
        let table = table.to_owned();
        tokio::task::spawn_blocking(move || {
            let mut items = Vec::new();
            let mut from = None;
            loop {
                let page = database
                    .scan(ScanRequest {
                        table_name: table.clone(),
                        exclusive_start_key: from,
                        filter_expression: filter.clone(),
                        ..ScanRequest::default()
                    })
                    .with_context(|| format!("scanning the table {table}"))?;
                for item in page.items.into_iter().flatten() {
                    let item = serde_json::to_value(item).context("reading an item")?;
                    items.push(plain_item(item));
                }
                from = page.last_evaluated_key;
                if from.is_none() {
                    return Ok(items);
                }
            }
        })
        .await
        .context("scanning a table")?
    }

    /// Each table's name and number of items.
    pub async fn tables(&self) -> anyhow::Result<Vec<TableCount>> {
        let database = self.database.clone();
        let stats = tokio::task::spawn_blocking(move || database.table_stats())
            .await
            .context("counting items")?
            .context("counting items")?;
        let mut counts: Vec<TableCount> = stats
            .into_iter()
            .map(|stats| TableCount {
                name: stats.table_name,
                items: usize::try_from(stats.item_count).unwrap_or_default(),
            })
            .collect();
        counts.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(counts)
    }
}

impl Server {
    /// Passes a request on unchanged, and the answer back.
    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Result<Response<Body>, AwsError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = axum::http::Method::POST;
        *request.uri_mut() = format!("http://{}/", self.address)
            .parse()
            .map_err(|error| internal(&error))?;
        *request.headers_mut() = forwarded(headers);
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| internal(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| internal(&error))?;
        Ok(Response::from_parts(head, Body::from(body.to_bytes())))
    }
}

/// A table with its time to live, if it has one.
fn expiring(table: &Table) -> Option<expiring::Table> {
    let names = table.create["KeySchema"].as_array()?.iter();
    let key = names.filter_map(|it| Some(it["AttributeName"].as_str()?.to_owned()));
    Some(expiring::Table {
        name: table.name.clone(),
        key: key.collect(),
        attribute: table.ttl_attribute.clone()?,
    })
}

/// Creates the table, or checks that the table in the file matches the declaration.
fn declare(database: &Database, table: &Table, place: &str) -> anyhow::Result<()> {
    let name = &table.name;
    let existing = database
        .list_tables(ListTablesRequest::default())
        .context("listing tables")?;
    if existing.table_names.contains(name) {
        let request = DescribeTableRequest {
            table_name: name.clone(),
        };
        let described = database
            .describe_table(request)
            .with_context(|| format!("describing the table {name}"))?;
        let described = serde_json::to_value(described).context("describing a table")?;
        let (there, declared) = (shape(&described["Table"]), shape(&table.create));
        if there != declared {
            bail!(
                "the table {name} in {place} has other keys or indexes than the template's: \
                 {there} there, {declared} in \
                 the template. Delete that file to start with empty tables"
            );
        }
    } else {
        let request = serde_json::from_value(table.create.clone())
            .with_context(|| format!("the template's table {name}"))?;
        database
            .create_table(request)
            .with_context(|| format!("creating the template's table {name}"))?;
    }
    if let Some(attribute) = &table.ttl_attribute {
        let request = serde_json::from_value(json!({
            "TableName": name,
            "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true},
        }))
        .context("the template's time to live")?;
        database
            .update_time_to_live(request)
            .with_context(|| format!("setting the time to live of the table {name} in {place}"))?;
    }
    Ok(())
}

/// The keys and indexes of a table, sorted for the comparison of two tables.
fn shape(table: &Value) -> Value {
    let mut attributes = BTreeMap::new();
    for attribute in table["AttributeDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        attributes.insert(
            attribute["AttributeName"].to_string(),
            attribute["AttributeType"].clone(),
        );
    }
    let mut indexes = BTreeMap::new();
    for index in table["GlobalSecondaryIndexes"]
        .as_array()
        .into_iter()
        .flatten()
    {
        indexes.insert(
            index["IndexName"].to_string(),
            (&index["KeySchema"], &index["Projection"]),
        );
    }
    json!({"attributes": attributes, "keys": table["KeySchema"], "indexes": indexes})
}

/// All headers except those of the connection, plus those that dynoxide requires, so that a plain
/// `curl` works too.
fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = headers.clone();
    for own in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::EXPECT,
    ] {
        forwarded.remove(own);
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("json"));
    if !is_json {
        forwarded.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    if !headers.contains_key(header::AUTHORIZATION) {
        forwarded.insert(header::AUTHORIZATION, HeaderValue::from_static(UNSIGNED));
        forwarded.insert("x-amz-date", HeaderValue::from_static("20260101T000000Z"));
    }
    forwarded
}

fn internal(error: &dyn std::fmt::Display) -> AwsError {
    AwsError {
        status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
        code: "InternalServerError".into(),
        message: format!("The local DynamoDB did not answer: {error}"),
        query_code: None,
    }
}

fn plain_item(item: Value) -> Value {
    match item {
        Value::Object(attributes) => attributes
            .into_iter()
            .map(|(name, value)| (name, plain(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// The value `"x"` of `{"S": "x"}`.
fn plain(attribute: Value) -> Value {
    let Value::Object(attribute) = attribute else {
        return attribute;
    };
    let Some((kind, value)) = attribute.into_iter().next() else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("N", value) => number(value),
        ("NS", Value::Array(numbers)) => numbers.into_iter().map(number).collect(),
        ("L", Value::Array(items)) => items.into_iter().map(plain).collect(),
        ("M", map) => plain_item(map),
        (_, value) => value,
    }
}

/// A number that exceeds JSON's numbers stays a text.
fn number(value: Value) -> Value {
    let parsed = value.as_str().and_then(|text| {
        let number: serde_json::Number = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    });
    parsed.map_or(value, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(range_key: &str) -> Table {
        Table {
            name: "events".into(),
            create: json!({
                "TableName": "events",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": "coupon", "AttributeType": "S"},
                    {"AttributeName": range_key, "AttributeType": "S"},
                ],
                "KeySchema": [
                    {"AttributeName": "coupon", "KeyType": "HASH"},
                    {"AttributeName": range_key, "KeyType": "RANGE"},
                ],
                "GlobalSecondaryIndexes": [{
                    "IndexName": "by-entry",
                    "KeySchema": [{"AttributeName": range_key, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }],
            }),
            ttl_attribute: Some("ttl".into()),
        }
    }

    async fn call(dynamodb: &DynamoDb, operation: &str, body: Value) -> (StatusCode, Value) {
        let mut headers = HeaderMap::new();
        let target = format!("DynamoDB_20120810.{operation}");
        headers.insert("x-amz-target", target.parse().unwrap());
        let body = Bytes::from(body.to_string());
        let answer = dynamodb.answer(operation, &headers, body).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn put(entry: &str) -> Value {
        json!({
            "TableName": "events",
            "Item": {
                "coupon": {"S": "c"}, "entry": {"S": entry}, "points": {"N": "12"},
                "price": {"N": "1.50"},
                "tags": {"SS": ["a"]},
                "more": {"M": {"list": {"L": [{"BOOL": true}, {"NULL": true}]}}},
            },
        })
    }

    #[tokio::test]
    async fn an_unsigned_request_is_answered_and_items_read_as_plain_json() {
        let dynamodb = DynamoDb::start(None, &[table("entry")], Clock::default())
            .await
            .unwrap();
        let (status, answer) = call(&dynamodb, "PutItem", put("e")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let expected = json!({
            "coupon": "c", "entry": "e", "points": 12, "price": 1.5, "tags": ["a"],
            "more": {"list": [true, null]},
        });
        assert_eq!(dynamodb.scan("events").await.unwrap(), [expected]);
        let counts = dynamodb.tables().await.unwrap();
        assert_eq!(
            counts,
            [TableCount {
                name: "events".into(),
                items: 1
            }]
        );
    }

    #[tokio::test]
    async fn a_request_that_dynoxide_would_accept_is_refused_with_and_without_a_server() {
        let tables = [table("entry")];
        let served = DynamoDb::start(None, &tables, Clock::default()).await;
        for dynamodb in [served.unwrap(), DynamoDb::without_server(&tables).unwrap()] {
            let mut wrong = put("e");
            wrong["ConditionExpression"] = json!("NOT (coupon = coupon)");
            let body = Bytes::from(wrong.to_string());
            let answer = dynamodb.answer("PutItem", &HeaderMap::new(), body).await;
            assert_eq!(answer.unwrap_err().code, "ValidationException");
            assert!(dynamodb.scan("events").await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_file_keeps_items_and_tables() {
        let directory = tempfile::tempdir().unwrap();
        let dynamodb = DynamoDb::start(Some(directory.path()), &[table("entry")], Clock::default())
            .await
            .unwrap();
        call(&dynamodb, "PutItem", put("e")).await;
        drop(dynamodb);
        let dynamodb = DynamoDb::start(Some(directory.path()), &[table("entry")], Clock::default())
            .await
            .unwrap();
        assert_eq!(dynamodb.scan("events").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_file_with_other_keys_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        drop(DynamoDb::start(Some(directory.path()), &[table("entry")], Clock::default()).await);
        let other =
            DynamoDb::start(Some(directory.path()), &[table("other")], Clock::default()).await;
        let error = other.err().unwrap().to_string();
        assert!(error.contains("the table events in"), "{error}");
        assert!(error.contains("Delete that file"), "{error}");
    }

    #[tokio::test]
    async fn an_expired_item_is_swept() {
        let dynamodb = DynamoDb::start(None, &[table("entry")], Clock::default())
            .await
            .unwrap();
        let mut expired = put("e");
        expired["Item"]["ttl"] = json!({"N": "1700000000"});
        call(&dynamodb, "PutItem", expired).await;
        // The sweep at the start may already have deleted the item.
        dynamodb.sweep().await;
        assert_eq!(dynamodb.tables().await.unwrap()[0].items, 0);
    }

    #[tokio::test]
    async fn an_item_that_expires_later_is_swept_once_the_clock_is_moved_past_that() {
        let clock = Clock::default();
        let dynamodb = DynamoDb::start(None, &[table("entry")], clock.clone())
            .await
            .unwrap();
        let now = clock.now().as_second();
        for (entry, after_s) in [("today", 3_600), ("tomorrow", 86_400)] {
            let mut expiring = put(entry);
            expiring["Item"]["ttl"] = json!({"N": (now + after_s).to_string()});
            call(&dynamodb, "PutItem", expiring).await;
        }
        call(&dynamodb, "PutItem", put("for ever")).await;
        clock.advance(std::time::Duration::from_secs(7_200));
        dynamodb.sweep().await;
        let items = dynamodb.scan("events").await.unwrap();
        let mut left: Vec<_> = items
            .iter()
            .map(|it| it["entry"].as_str().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["for ever", "tomorrow"]);
    }

    #[test]
    fn a_number_too_long_for_json_stays_a_text() {
        let long = json!({"N": "12345678901234567890123456789012345678"});
        assert_eq!(plain(long), json!("12345678901234567890123456789012345678"));
    }
}
