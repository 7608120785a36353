//! A game's own server, as far as forwarding needs one: keeps every request that it gets.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::AwsError;
use crate::sent::{self, Detail, Forwarded, Outside, Sent};

/// The server's path; each game can have a path of its own below it.
pub const PATH: &str = "/_local/game-server";

/// The wait that a throttled sender should keep.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// The event's id, by Standard Webhooks.
const ID_HEADER: HeaderName = HeaderName::from_static("webhook-id");

#[derive(Debug, Clone)]
pub struct GameServer {
    outside: Outside,
}

impl GameServer {
    pub fn new(outside: Outside) -> GameServer {
        GameServer { outside }
    }

    pub(crate) fn receive(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
        now: Timestamp,
    ) -> Result<Response<Body>, AwsError> {
        let text = |name| {
            let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        let url = format!("http://{}{uri}", text(header::HOST).unwrap_or_default());
        let body = String::from_utf8_lossy(body).into_owned();
        let names = headers.keys();
        let sent = Sent {
            channel: "game-server".into(),
            from: text(header::USER_AGENT).unwrap_or_default(),
            to: url.clone(),
            subject: None,
            text: Some(body.clone()),
            html: None,
            event: text(ID_HEADER),
            message_id: Uuid::new_v4().to_string(),
            at: sent::time(now),
            detail: Detail::GameServer(Forwarded {
                method: "POST".into(),
                url,
                headers: names
                    .filter_map(|name| Some((name.to_string(), text(name.clone())?)))
                    .collect(),
                body,
            }),
        };
        self.outside.push(sent).map_err(|problem| AwsError {
            status: 500,
            code: "storage".into(),
            message: format!("{problem:#}"),
            query_code: None,
        })?;
        Ok(answer(StatusCode::OK, &json!({"status": "received"})))
    }
}

pub(crate) fn refuse(error: &AwsError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"error": {"code": error.code, "message": error.message}});
    let mut refusal = answer(status, &body);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let headers = refusal.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    refusal
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_request_as_it_came() {
        let outside = Outside::open(None).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "127.0.0.1:4566"),
            ("user-agent", "coupons"),
            ("webhook-id", "zupy#comp#CP-1/redeemed"),
            ("webhook-signature", "v1,one"),
            ("webhook-signature", "v1,two"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let uri = Uri::from_static("/_local/game-server/gm_1?a=b");
        let body = Bytes::from_static("{\"código\": 1}".as_bytes());
        let now = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let answer = GameServer::new(outside.clone()).receive(&uri, &headers, &body, now);
        assert_eq!(answer.unwrap().status(), 200);
        let sent = outside.all().remove(0);
        let url = "http://127.0.0.1:4566/_local/game-server/gm_1?a=b";
        assert_eq!((&*sent.channel, &*sent.from), ("game-server", "coupons"));
        assert_eq!(sent.to, url);
        assert_eq!(sent.event.as_deref(), Some("zupy#comp#CP-1/redeemed"));
        let Detail::GameServer(forwarded) = sent.detail else {
            panic!("{sent:?}");
        };
        assert_eq!((&*forwarded.method, &*forwarded.url), ("POST", url));
        assert_eq!(forwarded.headers["webhook-signature"], "v1,one, v1,two");
        assert_eq!(forwarded.headers.len(), 4);
        assert_eq!(forwarded.body, "{\"código\": 1}");
    }
}
