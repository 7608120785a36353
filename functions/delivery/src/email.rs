//! placeholder
use jiff::tz::TimeZone;
use webhooks::event::{Member, Redemption};
pub(crate) struct Email {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}
pub(crate) fn write(_: &Member, _: &Redemption, _: &TimeZone) -> Email {
    Email {
        subject: String::new(),
        html: String::new(),
        text: String::new(),
    }
}
