//! SES v2's SendEmail: checks a message as SES does, and keeps it instead of sending it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::AwsError;
use crate::sent::{self, Detail, Email, Outside, Sent};

/// To, Cc and Bcc together (SES quotas).
const MAXIMUM_RECIPIENTS: usize = 50;

/// The header that names the event, which the `delivery` function sets.
const EVENT_HEADER: &str = "X-Event-Key";

/// In characters (SES v2 API, MessageHeader).
const HEADER_NAME_MAXIMUM: usize = 126;
const HEADER_VALUE_MAXIMUM: usize = 995;
const HEADER_MAXIMUM: usize = 996;

/// The maximum for one message (SES v2 API, Message).
const MAXIMUM_HEADERS: usize = 15;

/// In characters (SES API, ConfigurationSet).
const CONFIGURATION_SET_MAXIMUM: usize = 64;

#[derive(Debug, Clone)]
pub struct Ses {
    outside: Outside,
}

impl Ses {
    pub fn new(outside: Outside) -> Ses {
        Ses { outside }
    }

    /// `POST /v2/email/outbound-emails`.
    pub fn send_email(&self, body: &Value, now: Timestamp) -> Result<Value, AwsError> {
        let from = text(body, "/FromEmailAddress")
            .ok_or_else(|| bad_request("Missing required header 'From'."))?;
        check_address(from)?;
        let recipients = recipients(body)?;
        let configuration_set = configuration_set(body)?;
        let reply_to: Vec<&str> = texts(body, "/ReplyToAddresses").collect();
        reply_to.iter().try_for_each(|to| check_address(to))?;
        let simple = simple_content(body)?;
        let subject = content(simple, "/Subject").ok_or_else(|| {
            bad_request("The message's subject is missing: Content.Simple.Subject.Data.")
        })?;
        let plain = content(simple, "/Body/Text");
        let html = content(simple, "/Body/Html");
        if plain.is_none() && html.is_none() {
            return Err(bad_request(
                "The message has no body: Content.Simple.Body needs Text.Data or Html.Data.",
            ));
        }
        let email = Email {
            reply_to: reply_to.into_iter().map(str::to_owned).collect(),
            configuration_set: configuration_set.map(str::to_owned),
            tags: tags(body)?,
            headers: headers(simple)?,
        };
        let message_id = format!("{}-000000", Uuid::new_v4());
        for to in recipients {
            let sent = Sent {
                channel: "email".into(),
                from: from.into(),
                to: to.into(),
                subject: Some(subject.clone()),
                text: plain.clone(),
                html: html.clone(),
                event: email.headers.get(EVENT_HEADER).cloned(),
                message_id: message_id.clone(),
                at: sent::time(now),
                detail: Detail::Email(email.clone()),
            };
            self.outside.push(sent).map_err(|error| AwsError {
                status: 500,
                code: "InternalServiceErrorException".into(),
                message: format!("{error:#}"),
                query_code: None,
            })?;
        }
        Ok(json!({ "MessageId": message_id }))
    }
}

/// The bare address of `Name <address>`.
pub(crate) fn bare_address(address: &str) -> &str {
    match (address.rfind('<'), address.rfind('>')) {
        (Some(start), Some(end)) if start < end => &address[start + 1..end],
        _ => address,
    }
    .trim()
}

fn recipients(body: &Value) -> Result<Vec<&str>, AwsError> {
    let recipients: Vec<&str> = ["To", "Cc", "Bcc"]
        .iter()
        .flat_map(|kind| texts(body, &format!("/Destination/{kind}Addresses")))
        .collect();
    if recipients.is_empty() {
        return Err(bad_request("Missing required header 'To'."));
    }
    if recipients.len() > MAXIMUM_RECIPIENTS {
        return Err(bad_request(&format!(
            "Recipient count exceeds {MAXIMUM_RECIPIENTS}."
        )));
    }
    recipients.iter().try_for_each(|to| check_address(to))?;
    Ok(recipients)
}

fn check_address(address: &str) -> Result<(), AwsError> {
    let bare = bare_address(address);
    let Some((user, domain)) = bare.rsplit_once('@') else {
        return Err(bad_request("Missing final '@domain'"));
    };
    let problem = if user.is_empty() {
        "User name is missing"
    } else if domain.is_empty() {
        "Missing final '@domain'"
    } else if !user.is_ascii() {
        "Local address contains illegal characters"
    } else if user.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@') {
        "Local address contains control or whitespace"
    } else if domain.starts_with('.') {
        "Domain starts with dot"
    } else if domain.ends_with('.') {
        "Domain ends with dot"
    } else if domain.contains("..") {
        "Domain contains dot-dot"
    } else if domain.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.') {
        "Domain contains illegal character"
    } else {
        return Ok(());
    };
    Err(bad_request(problem))
}

fn simple_content(body: &Value) -> Result<&Value, AwsError> {
    match body.pointer("/Content").and_then(Value::as_object) {
        Some(content) if content.len() == 1 && content.contains_key("Simple") => {
            Ok(&content["Simple"])
        }
        Some(content) if !content.is_empty() => Err(bad_request(&format!(
            "Content must be Simple alone on this endpoint, is {}.",
            content.keys().cloned().collect::<Vec<_>>().join(", ")
        ))),
        _ => Err(bad_request(
            "1 validation error detected: Value null at 'content' failed to satisfy constraint: \
             Member must not be null",
        )),
    }
}

/// A part of the message as it arrives: SES sends ASCII only, unless the part names its character
/// set.
fn content(simple: &Value, pointer: &str) -> Option<String> {
    let data = text(simple, &format!("{pointer}/Data"))?;
    if text(simple, &format!("{pointer}/Charset")).is_some() {
        return Some(data.to_owned());
    }
    let arrives = |c: char| if c.is_ascii() { c } else { '?' };
    Some(data.chars().map(arrives).collect())
}

fn configuration_set(body: &Value) -> Result<Option<&str>, AwsError> {
    let Some(name) = body
        .get("ConfigurationSetName")
        .filter(|name| !name.is_null())
    else {
        return Ok(None);
    };
    let name = name.as_str().unwrap_or_default();
    if name.is_empty() || name.len() > CONFIGURATION_SET_MAXIMUM || !name.chars().all(is_plain) {
        return Err(bad_request(&format!(
            "Invalid configuration set name <{name}>: only alphanumeric ASCII characters, '_', \
             and '-' are allowed, 1 to {CONFIGURATION_SET_MAXIMUM} of them."
        )));
    }
    Ok(Some(name))
}

fn tags(body: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let tags = body.pointer("/EmailTags").and_then(Value::as_array);
    let mut read = BTreeMap::new();
    for tag in tags.into_iter().flatten() {
        let [name, value] = [("name", "/Name"), ("value", "/Value")].map(|(part, pointer)| {
            let text = text(tag, pointer).unwrap_or_default();
            if text.is_empty() || text.len() > 256 || !text.chars().all(is_plain) {
                return Err(bad_request(&format!(
                    "Invalid tag {part} <{text}>: only alphanumeric ASCII characters, '_', \
                     and '-' are allowed, 1 to 256 of them."
                )));
            }
            Ok(text.to_owned())
        });
        read.insert(name?, value?);
    }
    Ok(read)
}

/// Whether SES accepts the character in a tag and in a configuration set's name.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn headers(simple: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let headers = simple.pointer("/Headers").and_then(Value::as_array);
    if headers.is_some_and(|headers| headers.len() > MAXIMUM_HEADERS) {
        return Err(bad_request(&format!(
            "Too many headers: a message has {MAXIMUM_HEADERS} at most."
        )));
    }
    let mut read = BTreeMap::new();
    for header in headers.into_iter().flatten() {
        let name = text(header, "/Name").unwrap_or_default();
        let value = text(header, "/Value").unwrap_or_default();
        let is_name = |byte| matches!(byte, b'!'..=b'~') && byte != b':';
        let is_legal = !name.is_empty()
            && !value.is_empty()
            && name.len() <= HEADER_NAME_MAXIMUM
            && value.len() <= HEADER_VALUE_MAXIMUM
            && name.len() + value.len() <= HEADER_MAXIMUM
            && name.bytes().all(is_name)
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_legal {
            return Err(bad_request(&format!("Invalid header <{name}>.")));
        }
        read.insert(name.to_owned(), value.to_owned());
    }
    Ok(read)
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn texts<'a>(body: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let items = body.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str)
}

fn bad_request(message: &str) -> AwsError {
    AwsError {
        status: 400,
        code: "BadRequestException".into(),
        message: message.into(),
        query_code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Value {
        json!({
            "FromEmailAddress": "Shop <shop@example.com>",
            "Destination": {"ToAddresses": ["ana@example.com", "Bo <bo@example.com>"]},
            "Content": {"Simple": {
                "Subject": {"Data": "Your coupon"},
                "Body": {"Text": {"Data": "CP-1"}, "Html": {"Data": "<b>CP-1</b>"}},
                "Headers": [{"Name": "X-Event-Key", "Value": "zupy#comp#CP-1/redeemed"}],
            }},
            "EmailTags": [{"Name": "tenant", "Value": "comp-1"}],
            "ReplyToAddresses": ["Help <help@example.com>"],
            "ConfigurationSetName": "tracked_1",
        })
    }

    fn send(body: &Value) -> Result<Vec<Sent>, String> {
        let outside = Outside::open(None).unwrap();
        let now = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        Ses::new(outside.clone())
            .send_email(body, now)
            .map(|answer| assert!(answer["MessageId"].is_string()))
            .map_err(|error| {
                assert_eq!(
                    (error.status, error.code.as_str()),
                    (400, "BadRequestException")
                );
                error.message
            })?;
        Ok(outside.all())
    }

    #[track_caller]
    fn check_refused(pointer: &str, value: Value, expected: &str) {
        let mut body = message();
        *body.pointer_mut(pointer).unwrap() = value;
        let message = send(&body).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn keeps_a_message_for_each_recipient() {
        let sent = send(&message()).unwrap();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].to, "ana@example.com");
        assert_eq!(sent[1].to, "Bo <bo@example.com>");
        assert_eq!(sent[0].from, "Shop <shop@example.com>");
        assert_eq!(sent[0].subject.as_deref(), Some("Your coupon"));
        assert_eq!(sent[0].text.as_deref(), Some("CP-1"));
        assert_eq!(sent[0].html.as_deref(), Some("<b>CP-1</b>"));
        assert_eq!(sent[0].event.as_deref(), Some("zupy#comp#CP-1/redeemed"));
        assert_eq!(sent[0].at, "2026-01-02T03:04:05.678Z");
        assert_eq!(sent[0].message_id, sent[1].message_id);
        let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let detail = Detail::Email(Email {
            reply_to: vec!["Help <help@example.com>".into()],
            configuration_set: Some("tracked_1".into()),
            tags: one("tenant", "comp-1"),
            headers: one("X-Event-Key", "zupy#comp#CP-1/redeemed"),
        });
        assert_eq!(sent[0].detail, detail);
    }

    #[test]
    fn a_part_without_a_character_set_arrives_in_ascii() {
        let mut body = message();
        body["Content"]["Simple"]["Subject"] = json!({"Data": "É seu", "Charset": "UTF-8"});
        body["Content"]["Simple"]["Body"]["Text"] = json!({"Data": "É seu"});
        let sent = send(&body).unwrap();
        assert_eq!(sent[0].subject.as_deref(), Some("É seu"));
        assert_eq!(sent[0].text.as_deref(), Some("? seu"));
    }

    #[test]
    fn a_message_that_ses_would_refuse_is_refused_and_not_kept() {
        check_refused("/FromEmailAddress", json!(null), "'From'");
        check_refused(
            "/FromEmailAddress",
            json!("shop"),
            "Missing final '@domain'",
        );
        check_refused("/Destination/ToAddresses", json!([]), "'To'");
        check_refused(
            "/Destination/ToAddresses/1",
            json!("bo"),
            "Missing final '@domain'",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("bo@"),
            "Missing final '@domain'",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("@example.com"),
            "User name is missing",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("b o@example.com"),
            "whitespace",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("josé@example.com"),
            "Local address contains illegal",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("bo@exa mple.com"),
            "Domain contains illegal",
        );
        check_refused(
            "/Destination/ToAddresses/1",
            json!("bo@example..com"),
            "dot-dot",
        );
        check_refused("/Content", json!({}), "'content'");
        check_refused("/Content", json!({"Raw": {}}), "Raw");
        check_refused("/Content/Simple/Subject", json!({}), "subject");
        check_refused("/Content/Simple/Body", json!({}), "no body");
        check_refused(
            "/EmailTags/0/Value",
            json!("zupy#1"),
            "Invalid tag value <zupy#1>",
        );
        check_refused(
            "/Content/Simple/Headers/0/Value",
            json!("zupy\n"),
            "Invalid header <X-Event-Key>",
        );
        check_refused(
            "/Content/Simple/Headers/0/Name",
            json!("X Event"),
            "Invalid header <X Event>",
        );
        check_refused(
            "/Content/Simple/Headers/0/Value",
            json!("v".repeat(986)),
            "Invalid header <X-Event-Key>",
        );
        let headers = vec![json!({"Name": "X", "Value": "v"}); 16];
        check_refused(
            "/Content/Simple/Headers",
            json!(headers),
            "Too many headers",
        );
        check_refused("/ReplyToAddresses/0", json!("help"), "Missing final");
        for name in ["", "a b", "a".repeat(65).as_str()] {
            let expected = "Invalid configuration set name";
            check_refused("/ConfigurationSetName", json!(name), expected);
        }
        let many: Vec<String> = (0..51).map(|n| format!("c{n}@example.com")).collect();
        check_refused("/Destination/ToAddresses", json!(many), "exceeds 50");
    }
}
