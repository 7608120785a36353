//! The templates of a coupon's messages, bound to their languages.

use super::filled::filled;
use super::shown::Shown;
use super::{Language, Occasion};

/// A file that each language's folder has.
#[derive(Debug, Clone, Copy)]
pub(super) enum File {
    Subject,
    EmailHtml,
    EmailText,
    /// The reward in it is a sentence.
    Sms,
    /// Each line holds one parameter.
    WhatsApp,
}

impl File {
    pub(super) fn fill(self, coupon: &Shown) -> String {
        match (coupon.language, self) {
            (Language::PtBr, Self::Subject) => filled!("pt-BR/subject.txt", coupon: Shown),
            (Language::PtBr, Self::EmailHtml) => filled!("pt-BR/email.html", coupon: Shown),
            (Language::PtBr, Self::EmailText) => filled!("pt-BR/email.txt", coupon: Shown),
            (Language::PtBr, Self::Sms) => filled!("pt-BR/sms.txt", coupon: Shown),
            (Language::PtBr, Self::WhatsApp) => filled!("pt-BR/whatsapp.txt", coupon: Shown),

            (Language::En, Self::Subject) => filled!("en/subject.txt", coupon: Shown),
            (Language::En, Self::EmailHtml) => filled!("en/email.html", coupon: Shown),
            (Language::En, Self::EmailText) => filled!("en/email.txt", coupon: Shown),
            (Language::En, Self::Sms) => filled!("en/sms.txt", coupon: Shown),
            (Language::En, Self::WhatsApp) => filled!("en/whatsapp.txt", coupon: Shown),
        }
    }
}
