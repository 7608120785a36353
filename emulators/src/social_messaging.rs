//! End User Messaging Social's SendWhatsAppMessage: checks a message as AWS and Meta do, and keeps
//! it instead of sending it.

mod whatsapp;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::AwsError;
use crate::sent::{self, Detail, Outside, Sent};

use uuid::Uuid;
use whatsapp::Message;

/// In bytes (API reference, SendWhatsAppMessage).
const MESSAGE_MAXIMUM: usize = 2_048_000;

/// In characters (API reference, SendWhatsAppMessage).
const PHONE_NUMBER_ID_MAXIMUM: usize = 115;

const ID_PREFIX: &str = "phone-number-id-";

#[derive(Debug, Clone)]
pub struct SocialMessaging {
    outside: Outside,
}

impl SocialMessaging {
    pub fn new(outside: Outside) -> SocialMessaging {
        SocialMessaging { outside }
    }

    /// `POST /v1/whatsapp/send`. On AWS, people link phone numbers by hand; here every well-formed
    /// id exists.
    pub fn send_whatsapp_message(
        &self,
        request: &Value,
        now: Timestamp,
    ) -> Result<Value, AwsError> {
        let from = member(request, "originationPhoneNumberId")?;
        if from.len() > PHONE_NUMBER_ID_MAXIMUM || !is_phone_number_id(from) {
            return Err(unmet(
                "originationPhoneNumberId",
                "Member must satisfy regular expression pattern: \
                 .*(^phone-number-id-.*$)|(^arn:.*:phone-number-id/[0-9a-zA-Z]+$).*",
            ));
        }
        let blob = STANDARD.decode(member(request, "message")?).map_err(|_| {
            error(
                400,
                "SerializationException",
                "The member 'message' is not base64.",
            )
        })?;
        if blob.is_empty() || blob.len() > MESSAGE_MAXIMUM {
            return Err(unmet(
                "message",
                &format!("Member must have length between 1 and {MESSAGE_MAXIMUM}"),
            ));
        }
        let version = member(request, "metaApiVersion")?;
        if !is_version(version) {
            return Err(invalid(&format!(
                "metaApiVersion {version} is not of the form v{{VersionNumber}}"
            )));
        }
        let message = Message::read(&blob).map_err(|problem| invalid(&problem))?;
        let message_id = Uuid::new_v4().to_string();
        let sent = Sent {
            channel: "whatsapp".into(),
            from: from.into(),
            to: message.to.clone(),
            subject: None,
            text: Some(message.text.clone()),
            html: None,
            event: message.event.clone(),
            message_id: message_id.clone(),
            at: sent::time(now),
            detail: Detail::Whatsapp(message.detail(version)),
        };
        self.outside
            .push(sent)
            .map_err(|problem| error(500, "InternalServiceException", &format!("{problem:#}")))?;
        Ok(json!({ "messageId": message_id }))
    }
}

/// A phone number's ARN. It ends in the id without the id's own prefix: the API reference gives the
/// pattern `arn:.*:phone-number-id/[0-9a-zA-Z]+`.
pub(crate) fn phone_number_arn(id: &str) -> String {
    if id.starts_with("arn:") {
        return id.to_owned();
    }
    let bare = id.strip_prefix(ID_PREFIX).unwrap_or(id);
    crate::template::arn("social-messaging", &format!("phone-number-id/{bare}"))
}

fn is_phone_number_id(id: &str) -> bool {
    match id.strip_prefix("arn:") {
        Some(rest) => rest.split_once(":phone-number-id/").is_some_and(|(_, id)| {
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }),
        None => id.starts_with(ID_PREFIX),
    }
}

/// For instance `v20.0`.
fn is_version(version: &str) -> bool {
    let Some(number) = version.strip_prefix('v') else {
        return false;
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    is_number(major) && is_number(minor)
}

fn member<'a>(request: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    match request.get(name) {
        None | Some(Value::Null) => Err(unmet(name, "Member must not be null")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(error(
            400,
            "SerializationException",
            &format!("The member '{name}' is not a string."),
        )),
    }
}

fn unmet(member: &str, constraint: &str) -> AwsError {
    error(
        400,
        "ValidationException",
        &format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
             {constraint}"
        ),
    )
}

fn invalid(message: &str) -> AwsError {
    error(400, "InvalidParametersException", message)
}

fn error(status: u16, code: &str, message: &str) -> AwsError {
    AwsError {
        status,
        code: code.into(),
        message: message.into(),
        query_code: None,
    }
}

#[cfg(test)]
mod tests;
