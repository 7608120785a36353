//! The HTTP API, request by request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::lambda::{Options, tests as lambda_tests};

fn route(method: &str, path: &str) -> Route {
    Route {
        method: method.to_owned(),
        path: path.to_owned(),
    }
}

fn check_route(routes: &[(&str, &str)], request: (&str, &str), expected: Option<&str>) {
    let endpoints: Vec<_> = routes
        .iter()
        .map(|(method, path)| Endpoint::new(&route(method, path), String::new()))
        .collect();
    let path: Vec<_> = request.1.split('/').map(decoded).collect();
    let matching = endpoints
        .iter()
        .filter(|endpoint| endpoint.matches(request.0, &path).is_some());
    let found = matching.min_by_key(|endpoint| endpoint.preference());
    assert_eq!(
        found.map(|endpoint| endpoint.key.as_str()),
        expected,
        "{request:?}"
    );
}

#[test]
fn a_broken_escape_stays_as_it_is() {
    for (encoded, expected) in [
        ("%", "%"),
        ("%4", "%4"),
        ("%+1", "%+1"),
        ("%é", "%é"),
        ("%41%zz", "A%zz"),
    ] {
        assert_eq!(decoded(encoded), expected);
    }
}

#[test]
fn a_route_is_its_method_and_its_exact_path() {
    let routes = [
        ("POST", "/webhooks/zupy"),
        ("POST", "/webhooks/zupy/coupon-used"),
    ];
    check_route(
        &routes,
        ("POST", "/webhooks/zupy"),
        Some("POST /webhooks/zupy"),
    );
    check_route(
        &routes,
        ("POST", "/webhooks/zupy/coupon-used"),
        Some("POST /webhooks/zupy/coupon-used"),
    );
    check_route(&routes, ("GET", "/webhooks/zupy"), None);
    check_route(&routes, ("POST", "/webhooks/zupy/"), None);
    check_route(&routes, ("POST", "/webhooks"), None);
    check_route(
        &routes,
        ("POST", "/webhooks/%7Aupy"),
        Some("POST /webhooks/zupy"),
    );
}

#[test]
fn the_most_specific_route_is_preferred() {
    let routes = [
        ("ANY", "$default"),
        ("ANY", "/coupons/{proxy+}"),
        ("GET", "/coupons/{id}"),
        ("ANY", "/coupons/all"),
        ("GET", "/coupons/all"),
    ];
    check_route(&routes, ("GET", "/coupons/all"), Some("GET /coupons/all"));
    check_route(&routes, ("PUT", "/coupons/all"), Some("ANY /coupons/all"));
    check_route(&routes, ("GET", "/coupons/1"), Some("GET /coupons/{id}"));
    check_route(
        &routes,
        ("PUT", "/coupons/1"),
        Some("ANY /coupons/{proxy+}"),
    );
    check_route(
        &routes,
        ("GET", "/coupons/1/uses"),
        Some("ANY /coupons/{proxy+}"),
    );
    check_route(&routes, ("GET", "/elsewhere"), Some("$default"));
}

/// The event of a request to `ANY /coupons/{id}/{rest+}`.
fn event_of(request: axum::http::request::Builder, body: &[u8]) -> Value {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let endpoint = Endpoint::new(&route("ANY", "/coupons/{id}/{rest+}"), String::new());
    let path: Vec<_> = parts.uri.path().split('/').map(decoded).collect();
    let parameters = endpoint.matches(parts.method.as_str(), &path).unwrap();
    let now = "2026-03-12T19:03:58.390Z".parse().unwrap();
    let body = Bytes::copy_from_slice(body);
    event(
        &parts,
        &body,
        &endpoint,
        parameters,
        "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        "id=",
        now,
    )
}

fn post() -> axum::http::request::Builder {
    Request::post("/coupons/CP-1/a%20b/c").header("host", "127.0.0.1:3000")
}

#[test]
fn builds_an_event_of_format_2() {
    let request = Request::post("/coupons/CP-1/a%20b/c?tag=x&tag=y+z&empty")
        .header("Host", "api.example.com:3000")
        .header("User-Agent", "curl/8")
        .header("X-Signature", "one")
        .header("X-Signature", "two")
        .header("Cookie", "session=1; theme=dark")
        .header("Content-Type", "application/json");
    let expected = json!({
        "version": "2.0",
        "routeKey": "ANY /coupons/{id}/{rest+}",
        "rawPath": "/coupons/CP-1/a b/c",
        "rawQueryString": "tag=x&tag=y+z&empty",
        "cookies": ["session=1", "theme=dark"],
        "headers": {
            "content-type": "application/json",
            "host": "api.example.com:3000",
            "user-agent": "curl/8",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": "3000",
            "x-forwarded-proto": "http",
            "x-signature": "one,two",
        },
        "queryStringParameters": {"tag": "x,y z", "empty": ""},
        "pathParameters": {"id": "CP-1", "rest": "a b/c"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/coupons/CP-1/a b/c",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "curl/8",
            },
            "requestId": "id=",
            "routeKey": "ANY /coupons/{id}/{rest+}",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_773_342_238_390_i64,
        },
        "body": "{\"a\": 1}",
        "isBase64Encoded": false,
    });
    assert_eq!(event_of(request, b"{\"a\": 1}"), expected);
}

#[test]
fn leaves_out_absent_parts_of_a_request() {
    let event = event_of(post(), b"");
    for name in ["body", "cookies", "queryStringParameters"] {
        assert_eq!(event.get(name), None, "{name}");
    }
    assert_eq!(event["isBase64Encoded"], false);
}

fn check_body(content_type: &str, body: &[u8], expected: &str, is_base64: bool) {
    let event = event_of(post().header("content-type", content_type), body);
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&json!(expected), &json!(is_base64)),
        "{content_type}"
    );
}

#[test]
fn a_body_is_text_only_if_its_type_says_so_and_its_bytes_are() {
    check_body(
        "application/json; charset=utf-8",
        "{\"é\"}".as_bytes(),
        "{\"é\"}",
        false,
    );
    check_body("Application/JSON", b"{}", "{}", false);
    check_body("application/cloudevents+json", b"{}", "{}", false);
    check_body("text/csv", b"a,b", "a,b", false);
    check_body("application/json", b"{\xff}", "e/99", true);
    check_body("application/x-www-form-urlencoded", b"a=b", "YT1i", true);
    check_body("", b"{}", "e30=", true);
}

#[test]
fn an_odd_header_is_passed_on_lossily() {
    let event = event_of(
        post().header("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap()),
        b"",
    );
    assert_eq!(event["headers"]["x-name"], "caf\u{fffd}");
}

/// A status, and the values of some headers.
type Expected<'a> = (u16, &'a [(&'a str, &'a str)]);

fn check_answer(payload: &Value, expected: Result<Expected<'_>, &str>) {
    match (answer(payload.to_string().into()), expected) {
        (Ok(response), Ok((status, headers))) => {
            assert_eq!(response.status(), status, "{payload}");
            for (name, value) in headers {
                let values: Vec<_> = response.headers().get_all(*name).iter().map(text).collect();
                assert_eq!(values.join("|"), *value, "{name} of {payload}");
            }
        }
        (Err(problem), Err(expected)) => assert_eq!(problem, expected, "{payload}"),
        (found, _) => panic!("{payload} became {found:?}"),
    }
}

#[test]
fn an_answer_with_a_status_is_a_response() {
    let payload = json!({
        "statusCode": 201,
        "headers": {"X-Number": 1, "content-length": "999", "Content-Type": "application/json"},
        "multiValueHeaders": {"x-ignored": ["a"]},
        "cookies": ["a=1", "b=2"],
        "body": "{}",
    });
    let headers = [
        ("x-number", "1"),
        ("content-type", "application/json"),
        ("set-cookie", "a=1|b=2"),
        ("x-ignored", ""),
        ("content-length", ""),
    ];
    check_answer(&payload, Ok((201, &headers)));
    check_answer(&json!({"statusCode": "204"}), Ok((204, &[])));
    check_answer(
        &json!({"statusCode": 200, "body": "hi"}),
        Ok((200, &[("content-type", "text/plain; charset=utf-8")])),
    );
}

#[test]
fn an_answer_without_a_status_is_json() {
    for payload in [json!({"ok": true}), json!([1]), json!("text"), json!(null)] {
        check_answer(&payload, Ok((200, &[("content-type", "application/json")])));
    }
}

#[test]
fn a_malformed_answer_is_refused() {
    check_answer(&json!({"statusCode": 99}), Err("`statusCode` is 99"));
    check_answer(&json!({"statusCode": 100}), Err("`statusCode` is 100"));
    check_answer(
        &json!({"statusCode": "abc"}),
        Err("`statusCode` is \"abc\""),
    );
    check_answer(
        &json!({"statusCode": 200, "body": {}}),
        Err("`body` is not a string"),
    );
    check_answer(
        &json!({"statusCode": 200, "headers": {"a b": "c"}}),
        Err("header name \"a b\""),
    );
    check_answer(
        &json!({"statusCode": 200, "headers": {"a": "c\nd"}}),
        Err("the value of header \"a\" holds a control character"),
    );
    check_answer(
        &json!({"statusCode": 200, "headers": {"a": ["c"]}}),
        Err("header \"a\" is not a string"),
    );
    assert!(answer(Bytes::from_static(b"{")).is_err());
}

/// A gateway with one function, which does what the request's body says.
async fn gateway(timeout: Duration) -> (SocketAddr, Lambda) {
    let lambda = Lambda::open(Options::default()).await.unwrap();
    lambda.start(lambda_tests::echo()).await.unwrap();
    let routes = vec![(route("POST", "/echo"), "echo".to_owned())];
    let router = router_with_timeout(routes, lambda.clone(), timeout);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, lambda)
}

async fn send(address: SocketAddr, path: &str, body: &[u8]) -> (u16, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        response.split_once("\r\n\r\n").unwrap().1.to_owned(),
    )
}

#[tokio::test]
async fn a_request_reaches_its_function_and_is_answered() {
    let (address, lambda) = gateway(INTEGRATION_TIMEOUT).await;
    let (status, body) = send(address, "/echo", b"{\"coupon\":\"CP-1\"}").await;
    assert_eq!(status, 200);
    // The function answers with its event, which has no `statusCode` and so becomes the body.
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(event["body"], "{\"coupon\":\"CP-1\"}");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(lambda.recent()[0].trigger, "POST /echo");
    lambda.stop().await;
}

#[tokio::test]
async fn answers_without_a_function_as_api_gateway_does() {
    let (address, lambda) = gateway(Duration::from_secs(2)).await;
    let message = |text: &str| json!({"message": text}).to_string();
    assert_eq!(
        send(address, "/none", b"{}").await,
        (404, message("Not Found"))
    );
    let large = vec![b' '; MAXIMUM_BODY_BYTES + 1];
    assert_eq!(
        send(address, "/echo", &large).await,
        (413, message("Request Entity Too Large"))
    );
    let over_lambda_s_limit = vec![b' '; 7 * 1024 * 1024];
    assert_eq!(
        send(address, "/echo", &over_lambda_s_limit).await,
        (413, message("Request Entity Too Large"))
    );
    assert_eq!(
        send(address, "/echo", b"{\"do\":\"exit\"}").await,
        (500, message("Internal Server Error"))
    );
    assert_eq!(
        send(address, "/echo", b"{\"do\":\"fail\"}").await,
        (500, message("Internal Server Error"))
    );
    assert_eq!(
        send(address, "/echo", b"{\"do\":\"hang\"}").await,
        (503, message("Service Unavailable"))
    );
    lambda.stop().await;
    assert_eq!(
        send(address, "/echo", b"{}").await,
        (500, message("Internal Server Error"))
    );
}
