//! Zupy: a restaurant's customer turns points into a coupon, and later uses it at a store.
//!
//! Zupy sends two formats, `v1` and `v2`, each with a signature header of its own. The source is
//! Zupy's page on coupon webhooks (2025), <https://docs.zupy.com>.

pub(super) mod v1;
pub(super) mod v2;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::identifier::clean;
use crate::provider::wire::{Field, without_mark};
use crate::provider::{Parsed, Provider};
use crate::verify::{Encoding, Scheme, Verified};

/// The provider's name in keys and rows.
pub const NAME: &str = "zupy";

/// v1 (2025). The signature covers only the raw body.
pub const V1: Scheme = Scheme {
    name: "zupy-v1",
    signature_header: "X-Zupy-Signature",
    encoding: Encoding::Hex { prefix: "sha256=" },
    signed_headers: &[],
    timestamp_header: None,
};

/// v2 (2026). Only the header's name differs.
pub const V2: Scheme = Scheme {
    name: "zupy-v2",
    signature_header: "X-Webhook-Signature",
    ..V1
};

/// All amounts are in Brazilian reais.
pub const CURRENCY: &str = "BRL";

/// Zupy's webhooks of the types that a function handles.
#[derive(Debug, Clone, Copy)]
pub struct Zupy {
    types: &'static [&'static str],
}

impl Zupy {
    /// The name of a redemption in v1.
    pub const COUPON_REDEEMED: &'static str = "coupon.redeemed";
    /// The name of a use.
    pub const COUPON_USED: &'static str = "coupon.used";
    /// The name of a redemption in v2.
    pub const REWARD_REDEEMED: &'static str = "reward.redeemed";
    /// The name of a cancellation.
    pub const COUPON_CANCELLED: &'static str = "coupon.cancelled";
    /// The name of a reminder that a coupon expires soon.
    pub const COUPON_EXPIRING: &'static str = "coupon.expiring";
    /// The name of an expiry.
    pub const COUPON_EXPIRED: &'static str = "coupon.expired";
    /// The name in v1 of the event that a customer joined.
    pub const CUSTOMER_REGISTERED: &'static str = "customer.registered";
    /// The name in v2 of the event that a customer joined.
    pub const CUSTOMER_ENROLLED: &'static str = "customer.enrolled";

    /// Every type that this code can read.
    pub const fn every_event() -> Self {
        Self::only(&[
            Self::COUPON_REDEEMED,
            Self::COUPON_USED,
            Self::REWARD_REDEEMED,
            Self::COUPON_CANCELLED,
            Self::COUPON_EXPIRING,
            Self::COUPON_EXPIRED,
            Self::CUSTOMER_REGISTERED,
            Self::CUSTOMER_ENROLLED,
        ])
    }

    /// Only these types.
    pub const fn only(types: &'static [&'static str]) -> Self {
        Self { types }
    }

    fn takes_redemptions(&self) -> bool {
        self.types.contains(&Self::COUPON_REDEEMED) || self.types.contains(&Self::REWARD_REDEEMED)
    }

    fn handles(&self, kind: &str, of_format: &[&str]) -> bool {
        self.types.contains(&kind) && of_format.contains(&kind)
    }
}

impl Provider for Zupy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schemes(&self) -> &'static [Scheme] {
        &[V1, V2]
    }

    /// v1 has a `customer` and no `data`, and v2 the other way round.
    fn scheme_of(&self, verified: &[u8]) -> Option<&'static str> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Shape {
            data: Option<IgnoredAny>,
            customer: Option<IgnoredAny>,
        }
        let body = without_mark(verified);
        let shape: Shape = serde_json::from_slice(body).unwrap_or_default();
        match (shape.customer, shape.data) {
            (Some(_), None) => Some(V1.name),
            (None, Some(_)) => Some(V2.name),
            _ => None,
        }
    }

    fn parse(&self, verified: &Verified<'_>) -> Parsed {
        if verified.scheme() == V2.name {
            return v2::parse(self, verified);
        }
        v1::parse(self, verified)
    }
}

/// The type that a body names.
pub(super) fn kind(event: &Field<String>) -> Option<String> {
    event.value().map(|kind| clean(kind).to_owned())
}
