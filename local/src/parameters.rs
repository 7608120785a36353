//! The values of the template's parameters on this machine.

use std::collections::BTreeMap;

/// The values of the template's parameters on this machine.
pub(crate) fn local_parameters(aws_url: &str, gateway_url: &str) -> BTreeMap<String, String> {
    /// Samples have old dates, so this is ten years, and the ledger keeps events a little longer.
    const MAX_AGE_S: &str = "315360000";
    const RETENTION_DAYS: &str = "3660";
    /// A person who tries the system should not wait an hour for the report of a use without a
    /// redemption.
    const UNKNOWN_COUPON_GRACE_S: &str = "30";
    let secrets = |variable: &str, otherwise: &str| {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.trim().is_empty())
            .unwrap_or_else(|| otherwise.to_owned())
    };
    let parameters = [
        (
            "AghanimWebhookSecrets",
            secrets("AGHANIM_WEBHOOK_SECRETS", "local-aghanim-secret"),
        ),
        (
            "ZupyWebhookSecrets",
            secrets("ZUPY_WEBHOOK_SECRETS", "local-zupy-secret"),
        ),
        (
            "ReportTokens",
            secrets("REPORT_TOKENS", "local-report-token"),
        ),
        ("MailFrom", "Cupons <cupons@example.com>".into()),
        ("MailIdentity", "example.com".into()),
        (
            "WhatsAppPhoneNumberId",
            "phone-number-id-0123456789abcdef0123456789abcdef".into(),
        ),
        // base64 of `local-forward-secret`
        (
            "ForwardSecrets",
            "whsec_bG9jYWwtZm9yd2FyZC1zZWNyZXQ=".into(),
        ),
        (
            "WhatsAppReminderTemplate",
            "coupon_reminder_whatsapp".into(),
        ),
        ("WhatsAppSurveyTemplate", "coupon_survey_whatsapp".into()),
        ("SurveyUrl", gateway_url.into()),
        ("SurveyLinkSecrets", "local-survey-secret".into()),
        ("MaxAgeS", MAX_AGE_S.into()),
        ("RetentionDays", RETENTION_DAYS.into()),
        // Analytics counts samples with old dates too.
        ("ReportDays", RETENTION_DAYS.into()),
        ("UnknownCouponGraceS", UNKNOWN_COUPON_GRACE_S.into()),
        ("AwsEndpointUrl", aws_url.into()),
    ];
    parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
