//! The stub DynamoDB, SQS and Secrets Manager: keeps everything in memory, answers at once or after
//! a set delay, and counts everything.
//!
//! A condition expression with `attribute_not_exists` fails if the item exists, unless the
//! expression also has `#ttl <= :now` and the item has expired. Any other condition passes.
//!
//! If a message's event names its row in the events table, the stub processes the message at once.
//! The backend puts the task's record beneath that row.
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rustls::ServerConfig;
use serde_json::{Map, Value, json};

use crate::http::Conn;
use crate::names::NAMED;

type Items = BTreeMap<String, Map<String, Value>>;

#[derive(Default)]
pub struct State {
    items: Mutex<Items>,
    counts: Mutex<BTreeMap<String, u64>>,
    delay_us: AtomicU64,
}

pub struct Backend {
    pub state: Arc<State>,
    pub dynamodb_port: u16,
    pub sqs_port: u16,
    /// A port for every service, for peers that can use only one endpoint.
    pub shared_port: u16,
}

pub type Counts = BTreeMap<String, u64>;

impl State {
    fn count(&self, what: &str) {
        self.add(what, 1);
    }
    fn add(&self, what: &str, n: u64) {
        *self
            .counts
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += n;
    }
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }
    pub fn reset(&self, delay: Duration) {
        self.items.lock().unwrap().clear();
        self.counts.lock().unwrap().clear();
        self.delay_us.store(delay.as_micros() as u64, Relaxed);
    }
}

pub fn since(now: &Counts, before: &Counts) -> Counts {
    now.iter()
        .map(|(k, v)| (k.clone(), v - before.get(k).copied().unwrap_or(0)))
        .filter(|(_, v)| *v > 0)
        .collect()
}

impl Backend {
    /// Starts the stub. With `named`, each service also has an address of its own.
    pub fn start(tls: Option<Arc<ServerConfig>>, named: bool) -> std::io::Result<Backend> {
        let state = Arc::new(State::default());
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let dynamodb_port = serve("DynamoDB", any, state.clone(), tls.clone())?;
        let sqs_port = serve("SQS", any, state.clone(), tls.clone())?;
        let shared_port = serve("shared", any, state.clone(), tls.clone())?;
        if named {
            for (name, address, _) in NAMED {
                let address = address.parse().map_err(std::io::Error::other)?;
                serve(name, address, state.clone(), tls.clone())?;
            }
        }
        Ok(Backend {
            state,
            dynamodb_port,
            sqs_port,
            shared_port,
        })
    }
}

fn serve(
    name: &'static str,
    at: SocketAddr,
    state: Arc<State>,
    tls: Option<Arc<ServerConfig>>,
) -> std::io::Result<u16> {
    let listener = TcpListener::bind(at)?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            state.count(&format!("{name} connections"));
            let (state, tls) = (state.clone(), tls.clone());
            thread::spawn(move || {
                // Otherwise the kernel rounds sleeps by 50 us.
                unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000) };
                if let Ok(conn) = Conn::new(tcp, tls) {
                    let _ = connection(conn, name, &state);
                }
            });
        }
    });
    Ok(port)
}

fn connection(mut conn: Conn, listener: &str, state: &State) -> std::io::Result<()> {
    while let Some(request) = conn.request()? {
        let due = Instant::now() + Duration::from_micros(state.delay_us.load(Relaxed));
        let target = request.header("x-amz-target").unwrap_or("").to_owned();
        let signed = request
            .header("authorization")
            .is_some_and(|v| v.starts_with("AWS4-HMAC-SHA256"));
        let (service, operation) = target.split_once('.').unwrap_or(("?", ""));
        let input: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let (status, output) = match service {
            _ if !signed => {
                state.count("unsigned");
                failure("MissingAuthenticationTokenException", "no SigV4 signature")
            }
            "DynamoDB_20120810" => {
                state.count("DynamoDB requests");
                state.count(&format!("DynamoDB {operation}"));
                dynamodb(operation, &input, state)
            }
            "AmazonSQS" => {
                state.count("SQS requests");
                state.count(&format!("SQS {operation}"));
                sqs(operation, &input, state)
            }
            "secretsmanager" => {
                state.count("SecretsManager requests");
                secret(operation, &input)
            }
            _ => failure("UnknownOperationException", "unknown target"),
        };
        let body = serde_json::to_vec(&output)?;
        if let Some(rest) = due
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
        {
            thread::sleep(rest);
        }
        let crc = crc32fast::hash(&body).to_string();
        let date = http_date();
        let mut headers = vec![
            (
                "x-amzn-RequestId",
                "0A1B2C3D4E5F60718293A4B5C6D7E8F90123456789ABCDEFGHIJ",
            ),
            ("x-amz-crc32", &crc),
            ("Content-Type", "application/x-amz-json-1.0"),
            // The real time: a client with a skewed clock would correct the clock and retry.
            ("Date", &date),
        ];
        // On AWS the secret store is another host, so its connections serve no other calls.
        let last = listener == "shared" && service == "secretsmanager";
        if last {
            headers.push(("Connection", "close"));
        }
        conn.respond(status, &headers, &body)?;
        if last {
            break;
        }
    }
    Ok(())
}

fn http_date() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as libc::time_t;
    let mut out = [0u8; 64];
    // SAFETY: gmtime_r fills the zeroed struct, strftime writes at most out.len() bytes.
    let length = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&now, &mut parts);
        libc::strftime(
            out.as_mut_ptr().cast(),
            out.len(),
            c"%a, %d %b %Y %H:%M:%S GMT".as_ptr(),
            &parts,
        )
    };
    String::from_utf8_lossy(&out[..length]).into_owned()
}

fn failure(kind: &str, message: &str) -> (u16, Value) {
    (
        400,
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message}),
    )
}

/// Every table of this bench has the single string key `id`, or the keys `coupon` and `entry`.
fn item_key(table: &Value, keys: &Map<String, Value>) -> String {
    let table = table.as_str().unwrap_or("");
    let text = |name: &str| keys.get(name).and_then(|v| v["S"].as_str());
    match (text("coupon"), text("entry")) {
        (Some(coupon), Some(entry)) => format!("{table}\0{coupon}\0{entry}"),
        _ => format!("{table}\0{}", text("id").unwrap_or("")),
    }
}

fn condition_fails(input: &Value, existing: Option<&Map<String, Value>>) -> bool {
    let (Some(condition), Some(existing)) = (input["ConditionExpression"].as_str(), existing)
    else {
        return false;
    };
    let number = |v: &Value| v["N"].as_str().and_then(|n| n.parse::<i64>().ok());
    let ended = condition.contains("#ttl <= :now")
        && match (
            existing.get("ttl").and_then(number),
            number(&input["ExpressionAttributeValues"][":now"]),
        ) {
            (Some(ttl), Some(now)) => ttl <= now,
            _ => false,
        };
    condition.contains("attribute_not_exists") && !ended
}

/// An item's size as DynamoDB counts it.
fn item_bytes(item: &Map<String, Value>) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|o| o.iter().next()) else {
        return 0;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(n)) => {
            let digits: String = n.chars().filter(char::is_ascii_digit).collect();
            digits.trim_matches('0').len().div_ceil(2) + 1 + usize::from(n.starts_with('-'))
        }
        // Binary values travel as base64.
        ("B", Value::String(b)) => b.trim_end_matches('=').len() * 3 / 4,
        (_, Value::String(s)) => s.len(),
        (_, Value::Array(list)) => 3 + list.iter().map(|v| 1 + value_bytes(v)).sum::<usize>(),
        (_, Value::Object(map)) => {
            3 + map
                .iter()
                .map(|(k, v)| 1 + k.len() + value_bytes(v))
                .sum::<usize>()
        }
        _ => 1,
    }
}

fn units(bytes: usize, of: usize) -> u64 {
    bytes.div_ceil(of).max(1) as u64
}

fn conditional_failure(input: &Value, existing: Option<&Map<String, Value>>) -> (u16, Value) {
    let (status, mut body) = failure(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    if input["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" {
        body["Item"] = json!(existing);
    }
    (status, body)
}

fn apply_set(item: &mut Map<String, Value>, input: &Value) {
    let expression = input["UpdateExpression"].as_str().unwrap_or("");
    let sets = expression.trim().strip_prefix("SET").unwrap_or("");
    let sets = ["REMOVE", "ADD ", "DELETE"]
        .iter()
        .fold(sets, |s, k| s.split(k).next().unwrap_or(s));
    for clause in sets.split(',') {
        let Some((name, value)) = clause.split_once('=') else {
            continue;
        };
        let name = name.trim();
        let name = input["ExpressionAttributeNames"][name]
            .as_str()
            .unwrap_or(name);
        let value = &input["ExpressionAttributeValues"][value.trim()];
        if !value.is_null() {
            item.insert(name.to_owned(), value.clone());
        }
    }
}

fn write(
    operation: &str,
    input: &Value,
    items: &mut Items,
    state: &State,
) -> Result<(), (u16, Value)> {
    let empty = Map::new();
    let keys = match operation {
        "PutItem" => input["Item"].as_object(),
        _ => input["Key"].as_object(),
    };
    let key = item_key(&input["TableName"], keys.unwrap_or(&empty));
    let existing = items.get(&key);
    let before = existing.map_or(0, item_bytes);
    if condition_fails(input, existing) {
        state.add("DynamoDB write units", units(before, 1024));
        return Err(conditional_failure(input, existing));
    }
    let mut after = 0;
    match operation {
        "PutItem" => {
            let item = keys.unwrap_or(&empty).clone();
            after = item_bytes(&item);
            state.add("PutItem bytes", after as u64);
            items.insert(key, item);
        }
        "UpdateItem" => {
            let item = items
                .entry(key)
                .or_insert_with(|| keys.unwrap_or(&empty).clone());
            apply_set(item, input);
            after = item_bytes(item);
        }
        "DeleteItem" => drop(items.remove(&key)),
        _ => {}
    }
    state.add("DynamoDB write units", units(before.max(after), 1024));
    Ok(())
}

fn dynamodb(operation: &str, input: &Value, state: &State) -> (u16, Value) {
    let mut items = state.items.lock().unwrap();
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => match write(operation, input, &mut items, state)
        {
            Ok(()) => (200, json!({})),
            Err(answer) => {
                state.count("DynamoDB condition failures");
                answer
            }
        },
        "GetItem" => {
            let empty = Map::new();
            let key = item_key(
                &input["TableName"],
                input["Key"].as_object().unwrap_or(&empty),
            );
            let item = items.get(&key);
            state.add(
                "DynamoDB read units",
                units(item.map_or(0, item_bytes), 4096),
            );
            match item {
                Some(item) => (200, json!({"Item": item})),
                None => (200, json!({})),
            }
        }
        "Query" => query(input, &items, state),
        "TransactWriteItems" => {
            let parts = input["TransactItems"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let before = items.clone();
            let units = |state: &State| {
                state
                    .counts()
                    .get("DynamoDB write units")
                    .copied()
                    .unwrap_or(0)
            };
            let single = units(state);
            let mut reasons = Vec::new();
            for part in &parts {
                let (kind, body) = part
                    .as_object()
                    .and_then(|o| o.iter().next())
                    .expect("one action");
                let name = match kind.as_str() {
                    "ConditionCheck" => "ConditionCheck".to_owned(),
                    other => format!("{other}Item"),
                };
                reasons.push(match write(&name, body, &mut items, state) {
                    Ok(()) => json!({"Code": "None"}),
                    Err((_, e)) => json!({"Code": "ConditionalCheckFailed", "Item": e["Item"]}),
                });
            }
            // A write in a transaction costs twice as much.
            state.add("DynamoDB write units", units(state) - single);
            if reasons.iter().all(|r| r["Code"] == "None") {
                (200, json!({}))
            } else {
                *items = before;
                let (status, mut body) =
                    failure("TransactionCanceledException", "Transaction cancelled");
                body["CancellationReasons"] = json!(reasons);
                (status, body)
            }
        }
        _ => failure("UnknownOperationException", "not served by the stub"),
    }
}

/// The rows of one `coupon`, by the prefix of their `entry`; consistent, one page.
fn query(input: &Value, items: &Items, state: &State) -> (u16, Value) {
    const BY_RANGE: &str = "coupon = :coupon AND entry BETWEEN :first AND :last";
    if input["KeyConditionExpression"] != BY_RANGE {
        return failure("ValidationException", "the stub knows one key condition");
    }
    let value = |name: &str| {
        input["ExpressionAttributeValues"][name]["S"]
            .as_str()
            .unwrap_or("")
    };
    let table = input["TableName"].as_str().unwrap_or("");
    let key = |entry: &str| format!("{table}\0{}\0{entry}", value(":coupon"));
    let found: Vec<_> = items
        .range(key(value(":first"))..=key(value(":last")))
        .map(|(_, item)| item)
        .collect();
    state.add(
        "DynamoDB read units",
        units(found.iter().map(|item| item_bytes(item)).sum(), 4096),
    );
    let shown = |item: &Map<String, Value>| match input["ProjectionExpression"].as_str() {
        Some(fields) => fields
            .split(',')
            .filter_map(|f| Some((f.trim().to_owned(), item.get(f.trim())?.clone())))
            .collect(),
        None => item.clone(),
    };
    let shown: Vec<Map<String, Value>> = found.into_iter().map(shown).collect();
    (
        200,
        json!({"Count": shown.len(), "ScannedCount": shown.len(), "Items": shown}),
    )
}

fn secret(operation: &str, input: &Value) -> (u16, Value) {
    let value = match input["VersionStage"].as_str() {
        None | Some("AWSCURRENT") => crate::events::SECRET,
        Some("AWSPREVIOUS") => crate::events::PREVIOUS_SECRET,
        _ => "",
    };
    if operation != "GetSecretValue" || value.is_empty() {
        return (
            400,
            json!({"__type": "ResourceNotFoundException", "Message": "no such secret"}),
        );
    }
    let name = input["SecretId"].as_str().unwrap_or("");
    (
        200,
        json!({
            "ARN": format!("arn:aws:secretsmanager:eu-west-1:000000000000:secret:{name}-AbCdEf"),
            "Name": name,
            "VersionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
            "VersionStages": [input["VersionStage"]],
            "SecretString": value,
            "CreatedDate": 1756218000.0
        }),
    )
}

/// Writes the records that the tasks' functions leave after this message. The tasks are the queue's
/// own, or those that a message to the `work` queue names.
fn work_off(queue: &str, message: &Value, state: &State) {
    // A message to `work` has the key outside the event.
    let key = match &message["key"] {
        Value::Null => &message["event"]["key"],
        key => key,
    };
    let (Some(coupon), Some(entry)) = (key["coupon"].as_str(), key["entry"].as_str()) else {
        return;
    };
    let queue = queue.trim_start_matches("coupon-");
    let named = message["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let tasks: Vec<&str> = match queue {
        "work" => named.collect(),
        _ => vec![queue],
    };
    for task in tasks {
        let record = match task {
            "delivery" => "delivery/account",
            other => other,
        };
        let row = json!({
            "coupon": {"S": coupon},
            "entry": {"S": format!("{entry}/{record}")},
            "status": {"S": "done"},
        });
        let row = row.as_object().cloned().unwrap_or_default();
        let key = item_key(&json!(crate::events::EVENTS_TABLE), &row);
        state.items.lock().unwrap().insert(key, row);
    }
}

fn sent(queue_url: &Value, body: &Value, state: &State) -> (String, String) {
    let queue = queue_url
        .as_str()
        .and_then(|u| u.rsplit('/').next())
        .unwrap_or("?");
    let body = body.as_str().unwrap_or("");
    state.count(&format!("messages to {queue}"));
    state.add(&format!("message bytes to {queue}"), body.len() as u64);
    match serde_json::from_str::<Value>(body) {
        Ok(message) if message.is_object() => work_off(queue, &message, state),
        _ => state.count("bad messages"),
    }
    let digest = Md5::digest(body.as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    let id = format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    );
    (id, hex)
}

fn sqs(operation: &str, input: &Value, state: &State) -> (u16, Value) {
    match operation {
        "SendMessage" => {
            let (id, md5) = sent(&input["QueueUrl"], &input["MessageBody"], state);
            (200, json!({"MessageId": id, "MD5OfMessageBody": md5}))
        }
        "SendMessageBatch" => {
            let entries = input["Entries"].as_array().cloned().unwrap_or_default();
            let done: Vec<Value> = entries
                .iter()
                .map(|e| {
                    let (id, md5) = sent(&input["QueueUrl"], &e["MessageBody"], state);
                    json!({"Id": e["Id"], "MessageId": id, "MD5OfMessageBody": md5})
                })
                .collect();
            (200, json!({"Successful": done, "Failed": []}))
        }
        _ => (
            400,
            json!({"__type": "com.amazonaws.sqs#InvalidAction", "message": "not served by the stub"}),
        ),
    }
}
