//! The Query protocol, which only SNS uses: a form names the action, and the answer is XML.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::AwsError;

const SNS_VERSION: &str = "2010-03-31";
const SNS_NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// More than any name in a request of SNS has. The limit stops a name that consists of dots only.
const DEEPEST: usize = 8;

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// The operation of SNS that the form names; `None` for a form of another service.
pub(super) fn action(body: &[u8]) -> Option<String> {
    let request = request(body);
    let action = request.get("Action")?.as_str()?;
    (request.get("Version")?.as_str()? == SNS_VERSION).then(|| action.to_owned())
}

/// The form as the same request in JSON. `A.entry.1.Name=x&A.entry.1.Value=y` is `{"A": {"x":
/// "y"}}`; `B.member.1=z` is `{"B": ["z"]}`.
pub(super) fn request(body: &[u8]) -> Value {
    let mut tree = Value::Object(Map::new());
    for (name, value) in form_urlencoded::parse(body) {
        let mut node = &mut tree;
        for part in name.split('.').take(DEEPEST) {
            if !node.is_object() {
                *node = Value::Object(Map::new());
            }
            node = &mut node[part];
        }
        *node = Value::String(value.into_owned());
    }
    collapsed(tree)
}

fn collapsed(node: Value) -> Value {
    let Value::Object(fields) = node else {
        return node;
    };
    let mut fields: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name, collapsed(value)))
        .collect();
    if fields.len() == 1 {
        if let Some(Value::Object(entries)) = fields.get_mut("entry") {
            let entries = entries.values_mut();
            return entries.filter_map(entry).collect::<Map<_, _>>().into();
        }
        if let Some(Value::Object(members)) = fields.get_mut("member") {
            let mut members: Vec<_> = std::mem::take(members).into_iter().collect();
            members.sort_by_key(|(number, _)| number.parse().unwrap_or(u32::MAX));
            return members.into_iter().map(|(_, member)| member).collect();
        }
    }
    Value::Object(fields)
}

/// SNS spells the fields of a map in two ways.
fn entry(entry: &mut Value) -> Option<(String, Value)> {
    [("Name", "Value"), ("key", "value")]
        .into_iter()
        .find_map(|(name, value)| {
            let name = entry.get(name)?.as_str()?.to_owned();
            Some((name, entry.get_mut(value)?.take()))
        })
}

pub(super) fn respond(operation: &str, answer: &Value) -> Response<Body> {
    let id = Uuid::new_v4();
    let mut xml = format!("<{operation}Response xmlns=\"{SNS_NAMESPACE}\"><{operation}Result>");
    write(&mut xml, answer);
    xml.push_str(&format!(
        "</{operation}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
    ));
    response(StatusCode::OK, xml, &id.to_string())
}

pub(super) fn refuse(error: &AwsError) -> Response<Body> {
    let id = Uuid::new_v4();
    let fault = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    let (code, message) = (escaped(&error.code), escaped(&error.message));
    let xml = format!(
        "<ErrorResponse xmlns=\"{SNS_NAMESPACE}\"><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    );
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response(status, xml, &id.to_string())
}

fn response(status: StatusCode, xml: String, id: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// The only map among the answers of SNS; all other objects are structures.
const MAP: &str = "Attributes";

fn write(xml: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                xml.push_str(&format!("<{name}>"));
                match value {
                    Value::Object(entries) if name == MAP => write_map(xml, entries),
                    _ => write(xml, value),
                }
                xml.push_str(&format!("</{name}>"));
            }
        }
        Value::Array(members) => {
            for member in members {
                xml.push_str("<member>");
                write(xml, member);
                xml.push_str("</member>");
            }
        }
        Value::String(text) => xml.push_str(&escaped(text)),
        other => xml.push_str(&other.to_string()),
    }
}

fn write_map(xml: &mut String, entries: &Map<String, Value>) {
    for (key, value) in entries {
        xml.push_str(&format!("<entry><key>{}</key><value>", escaped(key)));
        write(xml, value);
        xml.push_str("</value></entry>");
    }
}

/// Escapes text for an XML element, and removes characters that XML cannot hold.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c < ' ' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn xml(response: Response<Body>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let xml = String::from_utf8(body.to_vec()).unwrap();
        // The ids differ each time.
        let (before, rest) = xml.split_once("<RequestId>").unwrap();
        let (_, after) = rest.split_once("</RequestId>").unwrap();
        format!("{before}{after}")
    }

    #[test]
    fn a_form_stands_for_json() {
        // boto3 and the AWS SDK for Rust write the form like this.
        let form = "Action=Publish&Version=2010-03-31&Message=ol%C3%A1+%26+%C3%A9\
                    &MessageAttributes.entry.1.Name=AWS.SNS.SMS.SMSType\
                    &MessageAttributes.entry.1.Value.DataType=String\
                    &MessageAttributes.entry.1.Value.StringValue=Transactional\
                    &MessageAttributes.entry.2.Name=event\
                    &MessageAttributes.entry.2.Value.DataType=String";
        let expected = json!({
            "Action": "Publish",
            "Version": "2010-03-31",
            "Message": "olá & é",
            "MessageAttributes": {
                "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"},
                "event": {"DataType": "String"},
            },
        });
        assert_eq!(request(form.as_bytes()), expected);
        assert_eq!(action(form.as_bytes()).as_deref(), Some("Publish"));
        let members: String = (1..=11).map(|n| format!("B.member.{n}={n}&")).collect();
        assert_eq!(request(members.as_bytes())["B"][10], "11");
    }

    #[test]
    fn a_form_of_another_service_names_no_operation() {
        for form in [
            "",
            "Action=Publish",
            "Action=GetCallerIdentity&Version=2011-06-15",
        ] {
            assert_eq!(action(form.as_bytes()), None, "{form}");
        }
        let dots = ".".repeat(100_000);
        assert!(request(dots.as_bytes()).is_object());
        assert_eq!(request(b"a=1&a.b=2"), json!({"a": {"b": "2"}}));
    }

    #[tokio::test]
    async fn answers_are_xml() {
        let answer = json!({"Topics": [{"TopicArn": "a&b"}], "Attributes": {"Owner": "<1>"}});
        let expected = "<XResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><XResult>\
                        <Topics><member><TopicArn>a&amp;b</TopicArn></member></Topics>\
                        <Attributes><entry><key>Owner</key><value>&lt;1&gt;</value></entry></Attributes>\
                        </XResult><ResponseMetadata></ResponseMetadata></XResponse>";
        assert_eq!(xml(respond("X", &answer)).await, expected);
    }

    #[tokio::test]
    async fn refusals_name_the_side_at_fault() {
        for (status, fault) in [(404, "Sender"), (500, "Receiver")] {
            let error = AwsError {
                status,
                code: "NotFound".into(),
                message: "no <topic>\u{0}".into(),
                query_code: None,
            };
            let response = refuse(&error);
            assert_eq!(response.status(), status);
            let expected = format!(
                "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{fault}</Type>\
                 <Code>NotFound</Code><Message>no \
                 &lt;topic&gt;\u{fffd}</Message></Error></ErrorResponse>"
            );
            assert_eq!(xml(response).await, expected);
        }
    }
}
