//! Sends WhatsApp messages through AWS End User Messaging Social: a template that Meta has
//! approved, with its parameters.

use aws_sdk_socialmessaging::Client;
use aws_sdk_socialmessaging::primitives::Blob;
use serde_json::json;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::Event;

use crate::channel::{Outcome, event_reference, refusal};
use crate::texts::Occasion;

/// The version of Meta's Cloud API that defines these messages.
const META_API_VERSION: &str = "v23.0";

/// The longest value of `biz_opaque_callback_data` (Meta's Cloud API), which the message's status
/// repeats.
const CALLBACK_MAX_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct WhatsApp {
    client: Client,
    phone_number_id: String,
    /// The approved templates for a new coupon, a reminder and a survey; `None` for an absent one.
    template: Option<String>,
    reminder_template: Option<String>,
    survey_template: Option<String>,
    /// The language of all templates, as Meta spells it: `pt_BR`.
    language: String,
}

impl WhatsApp {
    /// Reads the settings for coupons; `None` without a phone number to send from.
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Option<Self> {
        let mut whatsapp = Self::without_templates(environment, aws)?;
        whatsapp.template = Some(environment.text("WHATSAPP_TEMPLATE"));
        whatsapp.reminder_template = environment.optional("WHATSAPP_REMINDER_TEMPLATE");
        Some(whatsapp)
    }

    /// Reads the settings for surveys; `None` without a phone number to send from, or without a
    /// template.
    pub(crate) fn read_for_surveys(environment: &mut Environment, aws: &Aws) -> Option<Self> {
        let template = environment.optional("WHATSAPP_SURVEY_TEMPLATE");
        let mut whatsapp = Self::without_templates(environment, aws)?;
        whatsapp.survey_template = Some(template?);
        Some(whatsapp)
    }

    fn without_templates(environment: &mut Environment, aws: &Aws) -> Option<Self> {
        let phone_number_id = environment.optional("WHATSAPP_PHONE_NUMBER_ID")?;
        Some(Self {
            client: Client::new(&aws.sdk_config(CallLimits::ONCE)),
            phone_number_id,
            template: None,
            reminder_template: None,
            survey_template: None,
            language: environment.text("WHATSAPP_TEMPLATE_LANGUAGE"),
        })
    }

    /// The template for an occasion, if there is one.
    pub(crate) fn template(&self, occasion: Occasion) -> Option<&str> {
        match occasion {
            Occasion::Redeemed => self.template.as_deref(),
            Occasion::Expiring => self.reminder_template.as_deref(),
        }
    }

    /// The template for a survey, if there is one.
    pub(crate) fn survey_template(&self) -> Option<&str> {
        self.survey_template.as_deref()
    }

    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    pub(crate) async fn send(
        &self,
        event: &Event,
        number: &str,
        template: &str,
        parameters: &[String],
    ) -> anyhow::Result<Outcome> {
        let parameters = parameters.iter();
        let parameters = parameters.map(|text| json!({"type": "text", "text": text}));
        let parameters: Vec<_> = parameters.collect();
        let mut message = json!({
            "messaging_product": "whatsapp",
            "to": number,
            "type": "template",
            "template": {
                "name": template,
                "language": {"code": self.language},
                "components": [{"type": "body", "parameters": parameters}],
            },
        });
        if let Some(event) = event_reference(event, CALLBACK_MAX_BYTES) {
            message["biz_opaque_callback_data"] = event.into();
        }
        let sent = self
            .client
            .send_whats_app_message()
            .origination_phone_number_id(&self.phone_number_id)
            .meta_api_version(META_API_VERSION)
            .message(Blob::new(message.to_string()))
            .send()
            .await;
        Ok(match sent {
            Ok(sent) => Outcome::Taken(sent.message_id.unwrap_or_default()),
            Err(error) => refusal(
                &error,
                &["ValidationException", "InvalidParametersException"],
            ),
        })
    }
}
