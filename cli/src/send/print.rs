//! Prints a signed request in a form for other tools.

use anyhow::{Context, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use local::examples::quote;
use serde_json::{Map, Value, json};

use crate::http::{AGENT, Request};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A command for a shell.
    Curl,
    /// API Gateway's event of payload format 2.0.
    Event,
}

pub(super) fn print(form: Form, request: &Request, at: Timestamp) -> anyhow::Result<String> {
    let Ok(body) = std::str::from_utf8(&request.body) else {
        bail!("the body is not UTF-8, so --print cannot print it; send it without --print");
    };
    match form {
        Form::Curl => curl(request, body),
        Form::Event => event(request, body, at),
    }
}

fn curl(request: &Request, body: &str) -> anyhow::Result<String> {
    if body.contains('\0') {
        bail!("the body holds a null byte, which no shell command can; send it without --print");
    }
    let mut command = format!("curl -sS -i {}", quote(&request.url.to_string()));
    for (name, value) in &request.headers {
        command.push_str(&format!(" \\\n  -H {}", quote(&format!("{name}: {value}"))));
    }
    // `--data` would read a body that begins with @ as the name of a file.
    command.push_str(&format!(" \\\n  --data-raw {}\n", quote(body)));
    Ok(command)
}

/// Source of the fields:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
fn event(request: &Request, body: &str, at: Timestamp) -> anyhow::Result<String> {
    let host = request.url.host().context("the URL has no host")?;
    let path = request.url.path();
    let route = format!("POST {path}");
    let mut headers = Map::new();
    headers.insert("content-length".into(), json!(body.len().to_string()));
    for (name, value) in &request.headers {
        headers.insert(name.to_ascii_lowercase(), json!(value));
    }
    headers.insert("host".into(), json!(host));
    headers.insert("user-agent".into(), json!(AGENT));
    let event: Value = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": request.url.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": "local",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": AGENT,
            },
            "requestId": "sample",
            "routeKey": route,
            "stage": "$default",
            "time": at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": at.as_millisecond(),
        },
        "body": body,
        "isBase64Encoded": false,
    });
    Ok(format!("{event:#}\n"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::value::RawValue;
    use webhooks::request;

    use super::*;

    fn request(body: &str) -> Request {
        Request {
            url: "http://127.0.0.1:3000/webhooks/zupy?a=1&b=2"
                .parse()
                .unwrap(),
            headers: vec![("X-Zupy-Signature", "sha256=00".into())],
            body: body.into(),
        }
    }

    /// The words that a shell passes on to a function in place of curl.
    fn words(command: &str) -> Vec<String> {
        let script = format!("curl() {{ printf '%s\\0' \"$@\"; }}\n{command}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_passes_the_body_on_as_it_is() {
        for body in [
            "{\"a\": 1}\n",
            "it's \"quoted\" $HOME `id` \\ !! *",
            "'",
            "@file",
            "",
            "ação\n\n",
        ] {
            let command = print(Form::Curl, &request(body), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(
                words(&command),
                [
                    "-sS",
                    "-i",
                    "http://127.0.0.1:3000/webhooks/zupy?a=1&b=2",
                    "-H",
                    "X-Zupy-Signature: sha256=00",
                    "--data-raw",
                    body
                ]
            );
        }
    }

    #[test]
    fn a_function_reads_the_event_as_the_request() {
        let at = "2025-08-26T14:20:00Z".parse().unwrap();
        let text = print(Form::Event, &request("{\"a\": \"ção\"}\n"), at).unwrap();
        let raw: Box<RawValue> = serde_json::from_str(&text).unwrap();
        let read = request::Request::read(&raw);
        let body = request::Body::Bytes(b"{\"a\": \"\xc3\xa7\xc3\xa3o\"}\n".to_vec());
        assert_eq!(read.body, body);
        let signatures: Vec<_> = read.headers.values("X-Zupy-Signature").collect();
        assert_eq!(signatures, ["sha256=00"]);
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["rawPath"], "/webhooks/zupy");
        assert_eq!(event["rawQueryString"], "a=1&b=2");
        assert_eq!(
            event["requestContext"]["time"],
            "26/Aug/2025:14:20:00 +0000"
        );
    }

    #[test]
    fn a_body_that_cannot_be_printed_gets_an_error() {
        let mut request = request("a\0b");
        assert!(print(Form::Curl, &request, Timestamp::UNIX_EPOCH).is_err());
        request.body = vec![0xff];
        assert!(print(Form::Event, &request, Timestamp::UNIX_EPOCH).is_err());
    }
}
