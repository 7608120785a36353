//! The least that this job can cost. The program verifies, makes one conditional put and all sends
//! at once, and writes the COMPLETED update after the answer. Connections open during init. The
//! program uses one thread and no async: it writes each request to its own socket before it reads
//! the first answer.
//!
//! The program is a floor to measure against, not an implementation. It has no retries, no timeouts
//! and no reconnect after an idle close. The credentials are static, from the environment, and the
//! program signs by SigV4 with sha2/hmac alone.
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floor::{Http, Runtime};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(DIGITS[(b >> 4) as usize] as char);
        out.push(DIGITS[(b & 15) as usize] as char);
    }
    out
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length is valid");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// The date and time (yyyymmdd, yyyymmddThhmmssZ), by the days-to-date algorithm of the proleptic
/// calendar.
fn dates(now: Duration) -> (String, String) {
    let secs = now.as_secs() as i64;
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + i64::from(month <= 2);
    let date = format!("{year:04}{month:02}{day:02}");
    let stamp = format!(
        "{date}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    );
    (date, stamp)
}

struct Service {
    host: String,
    name: &'static str,
    target: &'static str,
    key: (String, [u8; 32]),
}

struct Credentials {
    id: String,
    secret: String,
    token: String,
    region: String,
}

impl Service {
    fn request(&mut self, c: &Credentials, operation: &str, body: &str, now: Duration) -> Vec<u8> {
        let (date, stamp) = dates(now);
        if self.key.0 != date {
            let k = mac(format!("AWS4{}", c.secret).as_bytes(), date.as_bytes());
            let k = mac(&mac(&k, c.region.as_bytes()), self.name.as_bytes());
            self.key = (date.clone(), mac(&k, b"aws4_request"));
        }
        let target = format!("{}.{operation}", self.target);
        let canonical = format!(
            "POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:{}\nx-amz-date:{stamp}\nx-amz-security-token:{}\nx-amz-target:{target}\n\ncontent-type;host;x-amz-date;x-amz-security-token;x-amz-target\n{}",
            self.host,
            c.token,
            hex(&Sha256::digest(body))
        );
        let scope = format!("{date}/{}/{}/aws4_request", c.region, self.name);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            hex(&Sha256::digest(canonical))
        );
        let signature = hex(&mac(&self.key.1, to_sign.as_bytes()));
        format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: \
             application/x-amz-json-1.0\r\nx-amz-date: {stamp}\r\nx-amz-security-token: \
             {}\r\nx-amz-target: {target}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature={signature}\r\ncontent-length: {}\r\n\r\n{body}",
            self.host, c.token, c.id, body.len()
        )
        .into_bytes()
    }
}

fn var(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|e| io::Error::other(format!("{name}: {e}")))
}

fn host(url: &str) -> String {
    url.trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or("")
        .to_owned()
}

fn text<'a>(v: &'a Value, path: &str) -> Option<&'a str> {
    v.pointer(path)?.as_str().filter(|s| !s.is_empty())
}

fn main() -> io::Result<()> {
    let credentials = Credentials {
        id: var("AWS_ACCESS_KEY_ID")?,
        secret: var("AWS_SECRET_ACCESS_KEY")?,
        token: var("AWS_SESSION_TOKEN")?,
        region: var("AWS_REGION")?,
    };
    let (secret, table) = (var("WEBHOOK_SECRET")?, var("TABLE_NAME")?);
    let count = var("QUEUE_COUNT")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(3);
    let queues: Vec<_> = ["DELIVERY", "INVENTORY", "FRAUD", "ANALYTICS", "SURVEYS"]
        .into_iter()
        .take(count)
        .map(|q| {
            (
                q.to_lowercase(),
                var(&format!("QUEUE_URL_{q}")).unwrap_or_default(),
            )
        })
        .collect();
    let none = || (String::new(), [0; 32]);
    let endpoint = var("AWS_ENDPOINT_URL_DYNAMODB")?;
    let tls = if endpoint.starts_with("https://") {
        Some(floor::tls()?)
    } else {
        None
    };
    let mut dynamodb = Service {
        host: host(&endpoint),
        name: "dynamodb",
        target: "DynamoDB_20120810",
        key: none(),
    };
    let mut sqs = Service {
        host: host(&var("AWS_ENDPOINT_URL_SQS")?),
        name: "sqs",
        target: "AmazonSQS",
        key: none(),
    };
    let mut table_conn = Http::connect(&dynamodb.host, tls.as_ref())?;
    let mut queue_conns = Vec::new();
    for _ in &queues {
        queue_conns.push(Http::connect(&sqs.host, tls.as_ref())?);
    }
    let mut runtime = Runtime::connect()?;
    loop {
        let (id, event) = runtime.next()?;
        let event: Value = serde_json::from_slice(&event)?;
        let body = event["body"].as_str().unwrap_or("");
        let given = event["headers"]["x-zupy-signature"].as_str().unwrap_or("");
        let expected = format!("sha256={}", hex(&mac(secret.as_bytes(), body.as_bytes())));
        let differ = given
            .bytes()
            .zip(expected.bytes())
            .fold(0, |a, (x, y)| a | (x ^ y));
        if given.len() != expected.len() || differ != 0 {
            runtime.answer(&id, 401, "{\"error\":\"invalid signature\"}")?;
            continue;
        }
        let payload: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let fields = [
            "/event",
            "/company_id",
            "/timestamp",
            "/coupon/coupon_code",
            "/customer/member_id",
            "/coupon/reward_id",
        ]
        .map(|p| text(&payload, p));
        let [Some(kind @ ("coupon.redeemed" | "coupon.used")), Some(company), Some(time), Some(code), Some(_), Some(_)] =
            fields
        else {
            runtime.answer(&id, 400, "{\"error\":\"invalid body\"}")?;
            continue;
        };

        let key = hex(&Sha256::digest(format!("{kind}|{company}|{code}|{time}")));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (expires, now_s, now_ms) = (now.as_secs() + 86_400, now.as_secs(), now.as_millis());
        let put = json!({
            "TableName": table,
            "Item": {"id": {"S": key}, "status": {"S": "INPROGRESS"}, "expiration": {"N": expires.to_string()},
                     "lease": {"N": (now_ms + 30_000).to_string()}},
            "ConditionExpression": "attribute_not_exists(id) OR expiration < :n OR (#s = :p AND \
                                    lease < :m)",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":n": {"N": now_s.to_string()}, ":m": {"N": now_ms.to_string()}, ":p": {"S": "INPROGRESS"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"
        });
        table_conn.send(&dynamodb.request(&credentials, "PutItem", &put.to_string(), now))?;
        let answer = table_conn.receive()?;
        if answer.status != 200 {
            let answer: Value = serde_json::from_slice(&answer.body)?;
            match answer["Item"]["status"]["S"].as_str() {
                Some("COMPLETED") => runtime.answer(&id, 200, "{\"status\":\"accepted\"}")?,
                _ => runtime.answer(&id, 409, "{\"error\":\"in progress\"}")?,
            }
            continue;
        }
        for ((name, url), conn) in queues.iter().zip(&mut queue_conns) {
            // The program parsed the body above, so it can embed the body unchanged.
            let message = format!(
                "{{\"target\":\"{name}\",\"event\":\"{kind}\",\"idempotency_key\":\"{key}\",\"payload\":{body}}}"
            );
            let send = json!({"QueueUrl": url, "MessageBody": message}).to_string();
            conn.send(&sqs.request(&credentials, "SendMessage", &send, now))?;
        }
        let mut sent = true;
        for conn in &mut queue_conns {
            sent &= conn.receive()?.status == 200;
        }
        if !sent {
            runtime.answer(&id, 500, "{}")?;
            continue;
        }
        runtime.answer(&id, 200, "{\"status\":\"accepted\"}")?;
        let done = json!({
            "TableName": table,
            "Key": {"id": {"S": key}},
            "UpdateExpression": "SET #s = :c",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":c": {"S": "COMPLETED"}}
        });
        table_conn.send(&dynamodb.request(&credentials, "UpdateItem", &done.to_string(), now))?;
        table_conn.receive()?;
    }
}
