//! Which requests SNS accepts and which it refuses.

use super::*;
use crate::sent::Encoding;
use crate::template::Subscription;

const ALERTS: &str = "arn:aws:sns:us-east-1:000000000000:alerts";

fn sns() -> (Sns, Outside) {
    let outside = Outside::open(None).unwrap();
    let alerts = Topic {
        name: "alerts".into(),
        arn: ALERTS.into(),
        display_name: Some("Coupons".into()),
        subscriptions: vec![Subscription {
            protocol: "email".into(),
            endpoint: "ops@example.com".into(),
        }],
    };
    (Sns::new(vec![alerts], outside.clone()), outside)
}

fn publish(request: &Value) -> Result<Sent, AwsError> {
    let (sns, outside) = sns();
    let now = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    let result = sns.handle("Publish", request, now);
    let mut sent = outside.all();
    match result {
        Ok(answer) => {
            assert_eq!(sent.len(), 1);
            assert_eq!(answer["MessageId"], sent[0].message_id);
            Ok(sent.remove(0))
        }
        Err(error) => {
            assert_eq!(sent, []);
            Err(error)
        }
    }
}

#[track_caller]
fn check_refused(request: &Value, code: &str, message: &str) {
    let error = publish(request).unwrap_err();
    let status = if code == "NotFound" { 404 } else { 400 };
    assert_eq!((error.status, error.code.as_str()), (status, code));
    assert!(error.message.contains(message), "{}", error.message);
}

fn attribute(kind: &str, value: &str) -> Value {
    json!({"DataType": kind, "StringValue": value})
}

fn sms() -> Value {
    json!({
        "PhoneNumber": "+5511987654321",
        "Message": "Seu cupom é CP-1",
        "MessageAttributes": {
            SMS_TYPE: attribute("String", "Transactional"),
            SENDER_ID: attribute("String", "Cupons"),
            "event": attribute("String", "zupy#comp#CP-1/redeemed"),
        },
    })
}

fn alert() -> Value {
    json!({
        "TopicArn": ALERTS,
        "Subject": "A coupon was used twice",
        "Message": "CP-1",
        "MessageAttributes": {"event": attribute("String", "zupy#comp#CP-1/used")},
    })
}

/// The request with one value added or replaced.
fn with(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

#[test]
fn a_text_message_is_kept_as_the_phone_shows_it() {
    let sent = publish(&sms()).unwrap();
    assert_eq!((&*sent.channel, &*sent.from), ("sms", "Cupons"));
    assert_eq!(sent.to, "+5511987654321");
    assert_eq!(sent.text.as_deref(), Some("Seu cupom é CP-1"));
    assert_eq!(sent.event.as_deref(), Some("zupy#comp#CP-1/redeemed"));
    assert_eq!(sent.at, "2026-01-02T03:04:05.678Z");
    let detail = Detail::Sms(Sms {
        kind: "Transactional".into(),
        sender_id: Some("Cupons".into()),
        origination_number: None,
        encoding: Encoding::Gsm7,
        characters: 16,
        parts: 1,
    });
    assert_eq!(sent.detail, detail);
}

#[test]
fn a_text_message_without_attributes_is_promotional() {
    let sent = publish(&json!({"PhoneNumber": "+15550100123", "Message": "hi"})).unwrap();
    let Detail::Sms(sms) = sent.detail else {
        panic!("{sent:?}");
    };
    assert_eq!((sms.kind.as_str(), sms.sender_id), ("Promotional", None));
}

#[test]
fn a_text_message_that_sns_would_refuse_is_refused() {
    let invalid = "InvalidParameter";
    for number in [
        "5511987654321",
        "+0511987654321",
        "+55 11 98765-4321",
        "+551198",
        "+5511987654321012",
        "Ana",
    ] {
        let expected = format!("{number} is not valid to publish to");
        check_refused(
            &with(sms(), "PhoneNumber", json!(number)),
            invalid,
            &expected,
        );
    }
    check_refused(&with(sms(), "Message", json!("")), invalid, "Empty message");
    let longest = with(sms(), "Message", json!("é".repeat(1600)));
    assert!(publish(&longest).is_ok());
    let longer = with(sms(), "Message", json!("é".repeat(1601)));
    check_refused(&longer, invalid, "Message too long");
    for (name, value) in [
        (SMS_TYPE, "Urgent"),
        (SENDER_ID, "ab"),
        (SENDER_ID, "12345"),
        (SENDER_ID, "My Coupons"),
        (SENDER_ID, "TwelveLetters"),
    ] {
        let attributes = json!({name: attribute("String", value)});
        let what = name.rsplit('.').next().unwrap();
        check_refused(&with(sms(), "MessageAttributes", attributes), invalid, what);
    }
}

#[test]
fn attributes_must_match_their_types() {
    for (attribute, expected) in [
        (
            json!({"StringValue": "x"}),
            "invalid message attribute type",
        ),
        (attribute("Text", "x"), "invalid message attribute type"),
        (attribute("String", ""), "non-empty message attribute value"),
        (
            attribute("Binary", "x"),
            "non-empty message attribute value",
        ),
        (attribute("Number", "ten"), "value to number"),
    ] {
        let request = with(alert(), "MessageAttributes", json!({"a": attribute}));
        check_refused(&request, "ParameterValueInvalid", expected);
    }
}

#[test]
fn an_alert_is_kept_with_its_subscribers() {
    let sent = publish(&alert()).unwrap();
    assert_eq!((&*sent.channel, &*sent.to), ("topic", ALERTS));
    assert_eq!(sent.from, "Coupons <no-reply@sns.amazonaws.com>");
    assert_eq!(sent.subject.as_deref(), Some("A coupon was used twice"));
    assert_eq!(sent.text.as_deref(), Some("CP-1"));
    assert_eq!(sent.event.as_deref(), Some("zupy#comp#CP-1/used"));
    let Detail::Topic(publication) = sent.detail else {
        panic!("{sent:?}");
    };
    assert_eq!(publication.topic, "alerts");
    assert_eq!(publication.subscribers, ["email:ops@example.com"]);
}

#[test]
fn a_message_by_protocol_is_shown_as_its_mail() {
    let by_protocol = |message: Value| {
        let request = with(alert(), "MessageStructure", json!("json"));
        with(request, "Message", json!(message.to_string()))
    };
    let sent = publish(&by_protocol(json!({"default": "all", "email": "mail"}))).unwrap();
    assert_eq!(sent.text.as_deref(), Some("mail"));
    let sent = publish(&by_protocol(json!({"default": "all", "sms": "text"}))).unwrap();
    assert_eq!(sent.text.as_deref(), Some("all"));
    let invalid = "InvalidParameter";
    let without = by_protocol(json!({"email": "mail"}));
    check_refused(&without, invalid, "No default entry");
    let torn = with(by_protocol(json!({})), "Message", json!("{"));
    check_refused(&torn, invalid, "failed to parse");
}

#[test]
fn an_alert_that_sns_would_refuse_is_refused() {
    let invalid = "InvalidParameter";
    let elsewhere = "arn:aws:sns:us-east-1:000000000000:elsewhere";
    for (name, value, code, expected) in [
        (
            "TopicArn",
            json!("alerts"),
            invalid,
            "TopicArn Reason: An ARN must have at least 6 elements, not 1",
        ),
        (
            "TopicArn",
            json!(elsewhere),
            "NotFound",
            "Topic does not exist",
        ),
        (
            "TopicArn",
            json!(""),
            invalid,
            "no value for required parameter",
        ),
        (
            "PhoneNumber",
            json!("+5511987654321"),
            invalid,
            "only one of",
        ),
        ("Message", json!(""), invalid, "Empty message"),
        (
            "Message",
            json!("x".repeat(MESSAGE_MAXIMUM)),
            invalid,
            "Message too long",
        ),
        ("Subject", json!("x".repeat(100)), invalid, "Subject"),
        ("Subject", json!("two\nlines"), invalid, "Subject"),
        (
            "MessageDeduplicationId",
            json!("1"),
            invalid,
            "not valid for this topic type",
        ),
    ] {
        check_refused(&with(alert(), name, value), code, expected);
    }
}

#[test]
fn the_names_types_and_values_of_attributes_count_as_the_message_does() {
    // The name `event` has 5 bytes, its type 6, and its value 19.
    let of_length = |length: usize| with(alert(), "Message", json!("x".repeat(length)));
    let invalid = "InvalidParameter";
    assert!(publish(&of_length(MESSAGE_MAXIMUM - 30)).is_ok());
    check_refused(
        &of_length(MESSAGE_MAXIMUM - 29),
        invalid,
        "Message too long",
    );
    // Three bytes are four letters of Base64.
    let binary = json!({"raw": {"DataType": "Binary", "BinaryValue": "AAAA"}});
    let binary = |length| with(of_length(length), "MessageAttributes", binary.clone());
    assert!(publish(&binary(MESSAGE_MAXIMUM - 12)).is_ok());
    check_refused(&binary(MESSAGE_MAXIMUM - 11), invalid, "Message too long");
}

#[test]
fn topics_are_listed_and_described() {
    let (sns, _) = sns();
    let ask = |operation, request| sns.handle(operation, &request, Timestamp::UNIX_EPOCH);
    let listed = ask("ListTopics", json!({})).unwrap();
    assert_eq!(listed, json!({"Topics": [{"TopicArn": ALERTS}]}));
    let described = ask("GetTopicAttributes", json!({"TopicArn": ALERTS})).unwrap();
    assert_eq!(described["Attributes"]["SubscriptionsConfirmed"], "1");
    let refused = ask("CreateTopic", json!({"Name": "x"})).unwrap_err();
    assert_eq!(refused.code, "InvalidAction");
}
