//! The channels that the parameters set up, and writing to a tenant's customers on them.

use serde_json::{Value, json};
use webhooks::config::{Aws, Environment};
use webhooks::event::Event;
use webhooks::per_tenant::{PerTenant, Zones};

use crate::channel::{Channel, Outcome};
use crate::email_address;
use crate::phone::{Country, Phone};
use crate::ses::Ses;
use crate::sms::Sms;
use crate::texts::{self, Coupon, Invitation, Language, Occasion};
use crate::whatsapp::WhatsApp;

/// The services of all channels, with each tenant's language, time zone and country.
#[derive(Debug)]
pub struct Channels {
    ses: Ses,
    whatsapp: Option<WhatsApp>,
    sms: Option<Sms>,
    languages: PerTenant<Language>,
    zones: Zones,
    /// For numbers that name no country.
    countries: PerTenant<Country>,
}

impl Channels {
    /// Reads the variables of the channels; a wrong variable becomes a problem of the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            ses: Ses::read(environment, aws),
            whatsapp: WhatsApp::read(environment, aws),
            sms: Sms::read(environment, aws),
            languages: languages(environment),
            zones: Zones::read_zones(environment),
            countries: countries(environment),
        }
    }

    /// The same for surveys, which never go out as an SMS.
    pub fn read_for_surveys(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            ses: Ses::read(environment, aws),
            whatsapp: WhatsApp::read_for_surveys(environment, aws),
            sms: None,
            languages: languages(environment),
            zones: Zones::read_zones(environment),
            countries: countries(environment),
        }
    }

    /// The language of a tenant's messages to its customers.
    pub fn language(&self, tenant: &str) -> Language {
        *self.languages.of(tenant)
    }

    /// Whether surveys go out on a channel.
    pub fn asks_on(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => true,
            Channel::WhatsApp => {
                let whatsapp = self.whatsapp.as_ref();
                whatsapp.is_some_and(|it| it.survey_template().is_some())
            }
            Channel::Sms => false,
        }
    }

    /// Sends a survey to an address, once.
    ///
    /// # Errors
    /// Making the message failed, so nothing went out.
    pub async fn ask(
        &self,
        channel: Channel,
        event: &Event,
        invitation: &Invitation<'_>,
        address: &str,
    ) -> anyhow::Result<Outcome> {
        let closed = || Outcome::Refused("the channel is not set up".into());
        let address = match self.in_network(channel, &event.tenant, address) {
            Ok(address) => address,
            Err(reason) => return Ok(Outcome::Refused(reason.into())),
        };
        let language = self.language(&event.tenant);
        match channel {
            Channel::Email => {
                let email = texts::survey_email(language, invitation);
                self.ses.send(event, &address, email).await
            }
            Channel::WhatsApp => {
                let open = self.whatsapp.as_ref();
                let open = open.and_then(|whatsapp| Some((whatsapp, whatsapp.survey_template()?)));
                let Some((whatsapp, template)) = open else {
                    return Ok(closed());
                };
                let parameters = texts::survey_whatsapp_parameters(language, invitation);
                whatsapp.send(event, &address, template, &parameters).await
            }
            Channel::Sms => Ok(closed()),
        }
    }

    /// Whether the parameters set a channel up, and the channel is meant for this coupon.
    pub fn is_open(&self, channel: Channel, occasion: Occasion, coupon: &Coupon<'_>) -> bool {
        match channel {
            Channel::Email => true,
            Channel::WhatsApp => {
                let whatsapp = self.whatsapp.as_ref();
                whatsapp.is_some_and(|it| it.template(occasion).is_some())
            }
            Channel::Sms => self
                .sms
                .as_ref()
                .is_some_and(|it| it.is_worth(coupon.discount)),
        }
    }

    /// Sends a coupon to an address, once.
    ///
    /// # Errors
    /// Making the message failed, so nothing went out.
    pub async fn send(
        &self,
        channel: Channel,
        occasion: Occasion,
        event: &Event,
        coupon: &Coupon<'_>,
        address: &str,
    ) -> anyhow::Result<Outcome> {
        let language = *self.languages.of(&event.tenant);
        let zone = self.zones.of(&event.tenant);
        let closed = || Outcome::Refused("the channel is not set up".into());
        let address = match self.in_network(channel, &event.tenant, address) {
            Ok(address) => address,
            Err(reason) => return Ok(Outcome::Refused(reason.into())),
        };
        let address = address.as_str();
        match channel {
            Channel::Email => {
                let email = texts::email(language, occasion, coupon, zone);
                self.ses.send(event, address, email).await
            }
            Channel::WhatsApp => {
                let open = self.whatsapp.as_ref();
                let Some((whatsapp, template)) =
                    open.and_then(|whatsapp| Some((whatsapp, whatsapp.template(occasion)?)))
                else {
                    return Ok(closed());
                };
                let parameters = texts::whatsapp_parameters(language, coupon, zone);
                whatsapp.send(event, address, template, &parameters).await
            }
            Channel::Sms => {
                let Some(sms) = &self.sms else {
                    return Ok(closed());
                };
                match texts::sms(language, occasion, coupon, zone) {
                    Ok(text) => sms.send(event, address, text).await,
                    Err(reason) => Ok(Outcome::Refused(reason.into())),
                }
            }
        }
    }

    /// An address in the form that its network accepts, or the reason why it has none.
    fn in_network(
        &self,
        channel: Channel,
        tenant: &str,
        address: &str,
    ) -> Result<String, &'static str> {
        let phone = || Phone::read(address, *self.countries.of(tenant));
        match channel {
            Channel::Email => email_address::in_ascii(address),
            Channel::WhatsApp => phone()?.for_whatsapp().map(str::to_owned),
            Channel::Sms => phone()?.for_sms().map(str::to_owned),
        }
    }

    /// A message as it would go out on a channel.
    pub fn written(
        &self,
        channel: Channel,
        event: &Event,
        coupon: &Coupon<'_>,
        address: &str,
    ) -> Value {
        let language = *self.languages.of(&event.tenant);
        let zone = self.zones.of(&event.tenant);
        let occasion = Occasion::Redeemed;
        let mut written = match channel {
            Channel::Email => {
                let email = texts::email(language, occasion, coupon, zone);
                json!({"subject": email.subject, "text": email.text, "html": email.html})
            }
            Channel::WhatsApp => json!({
                "template": self.whatsapp.as_ref().and_then(|it| it.template(occasion)),
                "language": self.whatsapp.as_ref().map(WhatsApp::language),
                "parameters": texts::whatsapp_parameters(language, coupon, zone),
            }),
            Channel::Sms => json!({"text": texts::sms(language, occasion, coupon, zone).ok()}),
        };
        match self.in_network(channel, &event.tenant, address) {
            Ok(address) => written["to"] = address.into(),
            Err(reason) => {
                written["to"] = address.into();
                written["refused"] = reason.into();
            }
        }
        written
    }
}

fn languages(environment: &mut Environment) -> PerTenant<Language> {
    PerTenant::read(
        environment,
        "LANGUAGES",
        Language::PtBr,
        "a language: pt-BR or en",
        Language::of_tag,
    )
}

fn countries(environment: &mut Environment) -> PerTenant<Country> {
    PerTenant::read(
        environment,
        "DEFAULT_COUNTRY",
        Country::BRAZIL,
        "a country's two letters such as BR",
        Country::of_code,
    )
}
