//! The tables and settings that counting needs.

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::Book;
use webhooks::ledger::Ledger;
use webhooks::per_tenant::Zones;

use crate::case::Case;

/// Counts the events of coupons.
#[derive(Debug)]
pub struct Analytics {
    pub(crate) ledger: Ledger,
    pub(crate) client: Client,
    pub(crate) members: String,
    pub(crate) book: Book,
    pub(crate) zones: Zones,
}

impl Analytics {
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            members: environment.text("MEMBERS_TABLE"),
            book: Book::read(environment, aws, CallLimits::TASK),
            zones: Zones::read_zones(environment),
        }
    }
    /// The second when a coupon's line expires: not before the coupon's events expire.
    pub(crate) fn forget_at(&self, case: &Case<'_>, now: Timestamp) -> i64 {
        let kept = now.checked_add(self.book.keep());
        let kept = kept.unwrap_or(Timestamp::MAX).as_second();
        let forget_at = self.ledger.forget_at(case.event, now);
        let of_event = forget_at.as_n().ok().and_then(|it| it.parse().ok());
        kept.max(of_event.unwrap_or_default())
    }
}
