//! Which requests AWS and Meta accept, and which they refuse.

use super::*;
use crate::sent::{TemplateParameter, Whatsapp};

const NUMBER: &str = "phone-number-id-01234567890123456789012345678901";

fn template() -> Value {
    json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+55 11 98765-4321",
        "type": "template",
        "biz_opaque_callback_data": "zupy#comp#CP-1/redeemed",
        "template": {
            "name": "coupon_redeemed",
            "language": {"code": "pt_BR"},
            "components": [
                {"type": "body", "parameters": [
                    {"type": "text", "text": "Ana"},
                    {"type": "text", "parameter_name": "code", "text": "CP-1"},
                ]},
                {"type": "button", "sub_type": "copy_code", "index": 0, "parameters": [
                    {"type": "coupon_code", "coupon_code": "CP-1"},
                ]},
            ],
        },
    })
}

fn request(message: &[u8]) -> Value {
    json!({
        "originationPhoneNumberId": NUMBER,
        "message": STANDARD.encode(message),
        "metaApiVersion": "v20.0",
    })
}

fn send(request: &Value) -> Result<Sent, AwsError> {
    let outside = Outside::open(None).unwrap();
    let now = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    let result = SocialMessaging::new(outside.clone()).send_whatsapp_message(request, now);
    let mut sent = outside.all();
    match result {
        Ok(answer) => {
            assert_eq!(sent.len(), 1);
            assert_eq!(answer["messageId"], sent[0].message_id);
            Ok(sent.remove(0))
        }
        Err(error) => {
            assert_eq!(sent, []);
            assert_eq!(error.status, 400);
            Err(error)
        }
    }
}

#[test]
fn a_template_is_kept_with_its_parameters() {
    let sent = send(&request(template().to_string().as_bytes())).unwrap();
    assert_eq!((&*sent.channel, &*sent.from), ("whatsapp", NUMBER));
    assert_eq!(sent.to, "+55 11 98765-4321");
    assert_eq!(sent.event.as_deref(), Some("zupy#comp#CP-1/redeemed"));
    assert_eq!(sent.at, "2026-01-02T03:04:05.678Z");
    let text =
        "coupon_redeemed (pt_BR)\nbody {{1}}: Ana\nbody {{code}}: CP-1\nbutton 0 {{1}}: CP-1";
    assert_eq!(sent.text.as_deref(), Some(text));
    let parameter = |component: &str, name: &str, text: &str| TemplateParameter {
        component: component.into(),
        name: name.into(),
        text: text.into(),
    };
    let detail = Detail::Whatsapp(Whatsapp {
        kind: "template".into(),
        template: Some("coupon_redeemed".into()),
        language: Some("pt_BR".into()),
        parameters: vec![
            parameter("body", "1", "Ana"),
            parameter("body", "code", "CP-1"),
            parameter("button 0", "1", "CP-1"),
        ],
        meta_api_version: "v20.0".into(),
        message: template(),
    });
    assert_eq!(sent.detail, detail);
}

#[test]
fn a_text_is_shown_as_it_is() {
    let message =
        json!({"messaging_product": "whatsapp", "to": "5511987654321", "text": {"body": "Oi"}});
    let sent = send(&request(message.to_string().as_bytes())).unwrap();
    assert_eq!((sent.text.as_deref(), sent.event), (Some("Oi"), None));
}

#[test]
fn a_request_that_aws_would_refuse_is_refused() {
    let validation = "ValidationException";
    let arn = "arn:aws:social-messaging:us-east-1:000000000000:phone-number-id/0123abc";
    let whole = request(template().to_string().as_bytes());
    let mut by_arn = whole.clone();
    by_arn["originationPhoneNumberId"] = json!(arn);
    assert_eq!(send(&by_arn).unwrap().from, arn);
    for (member, value, code, expected) in [
        (
            "originationPhoneNumberId",
            json!(null),
            validation,
            "must not be null",
        ),
        (
            "originationPhoneNumberId",
            json!("+5511987654321"),
            validation,
            "pattern",
        ),
        (
            "originationPhoneNumberId",
            json!("arn:aws:x:phone-number-id/a-b"),
            validation,
            "pattern",
        ),
        (
            "originationPhoneNumberId",
            json!(format!("{NUMBER}{}", "0".repeat(100))),
            validation,
            "pattern",
        ),
        ("message", json!(null), validation, "must not be null"),
        (
            "message",
            json!(""),
            validation,
            "length between 1 and 2048000",
        ),
        (
            "message",
            json!(STANDARD.encode(vec![b' '; MESSAGE_MAXIMUM + 1])),
            validation,
            "length between",
        ),
        (
            "message",
            json!("{}"),
            "SerializationException",
            "not base64",
        ),
        (
            "message",
            json!({}),
            "SerializationException",
            "not a string",
        ),
        (
            "metaApiVersion",
            json!(null),
            validation,
            "must not be null",
        ),
        (
            "metaApiVersion",
            json!("20.0"),
            "InvalidParametersException",
            "metaApiVersion 20.0",
        ),
        (
            "metaApiVersion",
            json!("v.1"),
            "InvalidParametersException",
            "metaApiVersion v.1",
        ),
    ] {
        let mut request = whole.clone();
        request[member] = value;
        let error = send(&request).unwrap_err();
        assert_eq!(error.code, code, "{member}: {}", error.message);
        assert!(error.message.contains(expected), "{}", error.message);
    }
}

#[track_caller]
fn check_refused(message: &[u8], expected: &str) {
    let error = send(&request(message)).unwrap_err();
    assert_eq!(error.code, "InvalidParametersException");
    assert!(error.message.contains(expected), "{}", error.message);
}

#[test]
fn a_message_that_meta_would_refuse_is_refused() {
    check_refused(b"{", "not JSON: line 1, column 1");
    for (pointer, value, expected) in [
        ("/messaging_product", json!("sms"), "messaging_product"),
        ("/recipient_type", json!("crowd"), "recipient_type"),
        ("/to", json!(null), "The parameter to is required"),
        ("/to", json!("Ana"), "to is not a phone number"),
        ("/to", json!("123456"), "to is not a phone number"),
        ("/to", json!("1234567890123456"), "to is not a phone number"),
        ("/type", json!("telegram"), "Param type must be one of"),
        ("/type", json!(7), "Param type must be one of"),
        ("/type", json!("image"), "The parameter image is required"),
        (
            "/biz_opaque_callback_data",
            json!("x".repeat(513)),
            "at most 512",
        ),
        (
            "/template",
            json!("coupon"),
            "The parameter template is required",
        ),
        ("/template/name", json!(""), "['name'] is required"),
        ("/template/name", json!("Coupon Redeemed"), "#132001"),
        (
            "/template/language",
            json!("pt_BR"),
            "['language']['code'] is required",
        ),
        (
            "/template/language/code",
            json!("pt-BR"),
            "there is no language pt-BR",
        ),
        (
            "/template/components",
            json!({}),
            "['components'] must be an array",
        ),
        (
            "/template/components/0/type",
            json!("middle"),
            "is \"middle\"",
        ),
        (
            "/template/components/0/parameters",
            json!("Ana"),
            "of the body must be an array",
        ),
        (
            "/template/components/0/parameters/0",
            json!({"text": "Ana"}),
            "has no type",
        ),
        (
            "/template/components/0/parameters/0/type",
            json!("song"),
            "unknown type song",
        ),
        (
            "/template/components/0/parameters/0/text",
            json!(""),
            "Parameter 1 of the body is required",
        ),
        (
            "/template/components/0/parameters/1/text",
            json!("a\nb"),
            "Parameter code of the body cannot have new-line",
        ),
        (
            "/template/components/0/parameters/1/text",
            json!("a     b"),
            "4 consecutive spaces",
        ),
        (
            "/template/components/1/index",
            json!(null),
            "The parameter index",
        ),
        (
            "/template/components/1/sub_type",
            json!(null),
            "The parameter sub_type",
        ),
        (
            "/template/components/1/parameters/0/coupon_code",
            json!(null),
            "Parameter 1 of the button 0 is required",
        ),
    ] {
        let mut message = template();
        *message.pointer_mut(pointer).unwrap() = value;
        check_refused(message.to_string().as_bytes(), expected);
    }
    let header =
        json!([{"type": "header", "parameters": [{"type": "text", "text": "x".repeat(61)}]}]);
    let mut message = template();
    message["template"]["components"] = header;
    check_refused(message.to_string().as_bytes(), "longer than 60");
    let text = |body: &str| json!({"messaging_product": "whatsapp", "to": "5511987654321", "type": "text", "text": {"body": body}});
    check_refused(text("").to_string().as_bytes(), "text['body'] is required");
    let longer = text(&"x".repeat(4097)).to_string();
    check_refused(longer.as_bytes(), "at most 4096");
}

#[test]
fn a_phone_numbers_arn_has_no_prefix() {
    let arn =
        |id: &str| format!("arn:aws:social-messaging:us-east-1:000000000000:phone-number-id/{id}");
    let bare = "01234567890123456789012345678901";
    assert_eq!(phone_number_arn(NUMBER), arn(bare));
    assert_eq!(phone_number_arn(&arn(bare)), arn(bare));
}
