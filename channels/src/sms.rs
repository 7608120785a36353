//! Sends text messages through SNS, for rewards above a minimum value.

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use rust_decimal::Decimal;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::event::{Discount, Event};

use crate::channel::{Outcome, event_reference, refusal};

/// The longest value of the attribute that names the event.
const EVENT_MAX_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) struct Sms {
    client: Client,
    /// The smallest `discount_value` of a reward that causes a text message.
    minimum: Decimal,
}

impl Sms {
    /// `None` if no reward causes a text message.
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Option<Self> {
        let minimum = environment.optional("SMS_MINIMUM_DISCOUNT_VALUE")?;
        let minimum = minimum.parse().unwrap_or_else(|_| {
            environment.problem(format!(
                "SMS_MINIMUM_DISCOUNT_VALUE is {minimum:?}, it must be a number such as 50, or empty for no text messages"
            ));
            Decimal::ZERO
        });
        Some(Self {
            client: Client::new(&aws.sdk_config(CallLimits::ONCE)),
            minimum,
        })
    }

    pub(crate) fn is_worth(&self, discount: Option<&Discount>) -> bool {
        let value = discount.and_then(|discount| discount.value);
        value.is_some_and(|value| value >= self.minimum)
    }

    pub(crate) async fn send(
        &self,
        event: &Event,
        number: &str,
        text: String,
    ) -> anyhow::Result<Outcome> {
        let attribute = |value: String| {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value);
            value.build()
        };
        let mut publish = self
            .client
            .publish()
            .phone_number(number)
            .message(text)
            .message_attributes("AWS.SNS.SMS.SMSType", attribute("Transactional".into())?);
        if let Some(event) = event_reference(event, EVENT_MAX_BYTES) {
            publish = publish.message_attributes("event", attribute(event)?);
        }
        Ok(match publish.send().await {
            Ok(sent) => Outcome::Taken(sent.message_id.unwrap_or_default()),
            Err(error) => refusal(
                &error,
                &[
                    "InvalidParameter",
                    "InvalidParameterException",
                    "InvalidParameterValue",
                    "ParameterValueInvalid",
                    "OptedOut",
                    "OptedOutException",
                ],
            ),
        })
    }
}
