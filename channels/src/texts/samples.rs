//! The providers' sample coupons, for tests.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use webhooks::event::{Discount, Fact, Redemption, Reward};
use webhooks::provider::{Content, RecordedBody, read_recorded, zupy};

use super::Coupon;

/// A coupon that owns its values.
pub(super) struct Sample {
    pub(super) name: Option<String>,
    pub(super) redemption: Redemption,
}

impl Sample {
    pub(super) fn coupon(&self) -> Coupon<'_> {
        Coupon {
            name: self.name.as_deref(),
            code: &self.redemption.coupon_code,
            reward: &self.redemption.reward,
            discount: self.redemption.discount.as_ref(),
            expires_at: self.redemption.expires_at,
        }
    }

    pub(super) fn code(mut self, code: &str) -> Self {
        self.redemption.coupon_code = code.into();
        self
    }

    pub(super) fn name(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }

    pub(super) fn reward(mut self, name: Option<&str>) -> Self {
        self.redemption.reward.name = name.map(str::to_owned);
        self
    }

    pub(super) fn description(mut self, description: &str) -> Self {
        self.redemption.reward.description = Some(description.into());
        self
    }

    pub(super) fn terms(mut self, terms: &str) -> Self {
        self.redemption.reward.terms = Some(terms.into());
        self
    }

    pub(super) fn discount(mut self, discount: Option<Discount>) -> Self {
        self.redemption.discount = discount;
        self
    }

    pub(super) fn expires_at(mut self, at: &str) -> Self {
        self.redemption.expires_at = Some(at.parse().unwrap());
        self
    }
}

pub(super) fn pizza() -> Sample {
    read(include_str!(
        "../../../events/samples/zupy-coupon-redeemed.json"
    ))
}

pub(super) fn percentage() -> Sample {
    read(include_str!(
        "../../../events/samples/zupy-coupon-redeemed-percentage.json"
    ))
}

/// A coupon with a code and nothing else.
pub(super) fn bare(code: &str) -> Sample {
    let mut sample = pizza().name(None).code(code).discount(None);
    sample.redemption.reward = Reward::default();
    sample.redemption.expires_at = None;
    sample
}

/// Never the machine's own time zones, because Lambda has none.
pub(super) fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

pub(super) fn sao_paulo() -> TimeZone {
    zone("America/Sao_Paulo")
}

fn read(body: &str) -> Sample {
    let content = read_recorded(&RecordedBody {
        provider: zupy::NAME,
        scheme: zupy::V1.name,
        tenant: "comp_bella_vista",
        body,
        time_zone: None,
    });
    let Some(Content::Event(event)) = content else {
        panic!("{content:?}");
    };
    let Fact::Redeemed(redemption) = event.fact else {
        panic!("{:?}", event.fact);
    };
    Sample {
        name: event.member.name,
        redemption,
    }
}
