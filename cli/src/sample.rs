//! The providers' sample bodies, and the edits that turn one sample into another event.

mod path;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::provider::{aghanim, zupy};
use webhooks::verify::Scheme;

pub(crate) use path::{Assignment, Path};

/// One webhook as its provider documents it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) sender: Sender,
    /// Path below the gateway.
    pub(crate) route: &'static str,
    pub(crate) body: &'static str,
}

macro_rules! sample {
    ($name:literal, $sender:expr, $route:literal) => {
        Sample {
            name: $name,
            sender: $sender,
            route: $route,
            body: include_str!(concat!("../../events/samples/", $name, ".json")),
        }
    };
}

pub(crate) const SAMPLES: [Sample; 15] = [
    sample!(
        "aghanim-coupon-redeemed",
        Sender::Aghanim,
        "/webhooks/aghanim/coupon-redeemed"
    ),
    sample!(
        "aghanim-coupon-redeemed-bundle",
        Sender::Aghanim,
        "/webhooks/aghanim/coupon-redeemed"
    ),
    sample!(
        "zupy-coupon-redeemed",
        Sender::Zupy,
        "/webhooks/zupy/coupon-redeemed"
    ),
    sample!(
        "zupy-coupon-redeemed-percentage",
        Sender::Zupy,
        "/webhooks/zupy/coupon-redeemed"
    ),
    sample!(
        "zupy-coupon-used",
        Sender::Zupy,
        "/webhooks/zupy/coupon-used"
    ),
    sample!(
        "zupy-coupon-used-percentage",
        Sender::Zupy,
        "/webhooks/zupy/coupon-used"
    ),
    sample!(
        "zupy-test-coupon-redeemed",
        Sender::Zupy,
        "/webhooks/zupy/coupon-redeemed"
    ),
    sample!(
        "zupy-test-coupon-used",
        Sender::Zupy,
        "/webhooks/zupy/coupon-used"
    ),
    sample!("zupy-customer-registered", Sender::Zupy, "/webhooks/zupy"),
    sample!(
        "zupy-v2-customer-enrolled",
        Sender::ZupyV2,
        "/webhooks/zupy"
    ),
    sample!("zupy-v2-reward-redeemed", Sender::ZupyV2, "/webhooks/zupy"),
    sample!("zupy-v2-coupon-used", Sender::ZupyV2, "/webhooks/zupy"),
    sample!("zupy-v2-coupon-cancelled", Sender::ZupyV2, "/webhooks/zupy"),
    sample!("zupy-v2-coupon-expiring", Sender::ZupyV2, "/webhooks/zupy"),
    sample!("zupy-v2-coupon-expired", Sender::ZupyV2, "/webhooks/zupy"),
];

/// A sample's provider and format: how the provider signs the webhook, and where its body has times
/// and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Aghanim,
    Zupy,
    /// Zupy's format v2.
    ZupyV2,
}

impl Sender {
    pub(crate) fn scheme(self) -> Scheme {
        match self {
            Self::Aghanim => aghanim::SCHEME,
            Self::Zupy => zupy::V1,
            Self::ZupyV2 => zupy::V2,
        }
    }

    /// The environment variable that holds the provider's secrets, comma-separated.
    pub(crate) fn secrets_variable(self) -> &'static str {
        match self {
            Self::Aghanim => "AGHANIM_WEBHOOK_SECRETS",
            Self::Zupy | Self::ZupyV2 => "ZUPY_WEBHOOK_SECRETS",
        }
    }

    /// The secret that the local system verifies with by default.
    pub(crate) fn local_secret(self) -> &'static str {
        match self {
            Self::Aghanim => "local-aghanim-secret",
            Self::Zupy | Self::ZupyV2 => "local-zupy-secret",
        }
    }

    /// The time at which the provider sent the webhook, according to the body.
    pub(crate) fn sent_at(self, body: &Value) -> Option<Timestamp> {
        read_time(field(body, self.sent_at_path())?)
    }

    pub(crate) fn sent_at_path(self) -> &'static [&'static str] {
        match self {
            Self::Aghanim => &["event_time"],
            Self::Zupy | Self::ZupyV2 => &["timestamp"],
        }
    }

    /// Moves all times of the body, so that the body names `now` as its time of sending. Returns
    /// the earlier time of sending, or `None` if the body has none.
    ///
    /// The coupon's end moves by whole days, at least as far as the other times. So the same sample
    /// twice on one day has the same end, and is a duplicate. Values that are no times stay.
    pub(crate) fn move_to(self, body: &mut Value, now: Timestamp) -> Option<Timestamp> {
        const DAY_S: i64 = 24 * 60 * 60;
        let sent_at = self.sent_at(body)?;
        let by_s = now.as_second() - sent_at.as_second();
        let days = by_s.div_euclid(DAY_S) + i64::from(by_s.rem_euclid(DAY_S) > 0);
        let (happened, ends): (&[&[&str]], &[&[&str]]) = match self {
            Self::Aghanim => (&[&["event_data", "coupon", "redeemed_at"]], &[]),
            Self::Zupy => (&[], &[&["coupon", "expires_at"]]),
            Self::ZupyV2 => (
                &[
                    &["data", "used_at"],
                    &["data", "cancelled_at"],
                    &["data", "expired_at"],
                ],
                &[&["data", "valid_until"]],
            ),
        };
        let happened = happened.iter().copied().chain([self.sent_at_path()]);
        let happened = happened.map(|path| (path, by_s));
        let ends = ends.iter().map(|path| (*path, days * DAY_S));
        for (path, by_s) in happened.chain(ends) {
            let Some(field) = field_mut(body, path) else {
                continue;
            };
            let by = SignedDuration::from_secs(by_s);
            let time = read_time(field).and_then(|time| time.checked_add(by).ok());
            if let Some(time) = time {
                *field = match field {
                    Value::Number(_) => json!(time.as_second()),
                    _ => json!(time.to_string()),
                };
            }
        }
        Some(sent_at)
    }

    /// Turns the body into another coupon's event, by a suffix on the fields that name the coupon.
    pub(crate) fn rename(self, body: &mut Value, suffix: &str) -> anyhow::Result<()> {
        let names: &[&[&str]] = match self {
            Self::Aghanim => &[&["idempotency_key"], &["event_id"]],
            Self::ZupyV2 => &[&["data", "coupon_code"], &["webhook_id"]],
            Self::Zupy => &[
                &["coupon", "coupon_code"],
                &["usage", "coupon_code"],
                &["usage", "order_id"],
            ],
        };
        let mut renamed = false;
        for path in names {
            if let Some(Value::String(name)) = field_mut(body, path) {
                name.push_str(suffix);
                renamed = true;
            }
        }
        if !renamed {
            let names: Vec<_> = names.iter().map(|path| path.join(".")).collect();
            bail!(
                "copies would be identical: the body has no text at {}",
                names.join(", ")
            );
        }
        Ok(())
    }

    /// Turns the body into another member's event. Otherwise thousands of coupons of one member
    /// would look like fraud.
    pub(crate) fn rename_member(self, body: &mut Value, suffix: &str) {
        if let Some(Value::String(name)) = field_mut(body, self.member_path()) {
            name.push_str(suffix);
        }
    }

    /// The path to the member's id in a body.
    pub(crate) fn member_path(self) -> &'static [&'static str] {
        match self {
            Self::Aghanim => &["event_data", "player_id"],
            Self::Zupy => &["customer", "member_id"],
            Self::ZupyV2 => &["data", "customer_id"],
        }
    }
}

fn field<'a>(body: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(body, |value, name| value.get(name))
}

fn field_mut<'a>(body: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter()
        .try_fold(body, |value, name| value.get_mut(name))
}

/// Reads RFC 3339 text, or seconds since 1970.
fn read_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let seconds = number.as_i64().or(number.as_f64().map(|it| it as i64))?;
            Timestamp::from_second(seconds).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use webhooks::provider::aghanim::Aghanim;
    use webhooks::provider::zupy::Zupy;
    use webhooks::provider::{Content, Provider};
    use webhooks::request::Headers;
    use webhooks::verify::Secrets;

    use super::*;

    fn sample(name: &str) -> Sample {
        *SAMPLES.iter().find(|sample| sample.name == name).unwrap()
    }

    fn body(name: &str) -> Value {
        serde_json::from_str(sample(name).body).unwrap()
    }

    #[test]
    fn every_sample_file_is_a_sample() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/samples");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut names = SAMPLES.map(|sample| format!("{}.json", sample.name));
        names.sort();
        assert_eq!(files, names);
    }

    #[test]
    fn every_sample_goes_to_a_route_of_the_template() {
        let template = include_str!("../../template.yaml");
        for sample in SAMPLES {
            let mut words = template.split([' ', ',', '}', '\n']);
            assert!(words.any(|word| word == sample.route), "{}", sample.name);
        }
    }

    #[test]
    fn every_sample_is_an_event_of_its_provider() {
        for sample in SAMPLES {
            let secrets = Secrets::parse(sample.sender.local_secret()).unwrap();
            let at = Timestamp::UNIX_EPOCH;
            let scheme = sample.sender.scheme();
            let body = sample.body.as_bytes();
            let headers: Headers<'_> = scheme.sign(body, secrets.first(), at).into_iter().collect();
            let (verified, _) = scheme.verify(&headers, body, &secrets).unwrap();
            let parsed = match sample.sender {
                Sender::Aghanim => Aghanim.parse(&verified),
                Sender::Zupy | Sender::ZupyV2 => Zupy::every_event().parse(&verified),
            };
            let Content::Event(event) = parsed.content else {
                panic!("{}: {:?}", sample.name, parsed.content);
            };
            assert!(sample.name.starts_with(&event.provider));
            assert!(sample.route.contains(&event.provider));
        }
    }

    #[test]
    fn a_coupon_sent_again_on_the_same_day_ends_at_the_same_time() {
        let ends = |now: &str| {
            let mut redeemed = body("zupy-coupon-redeemed");
            let now = now.parse().unwrap();
            Sender::Zupy.move_to(&mut redeemed, now).unwrap();
            assert_eq!(redeemed["timestamp"], now.to_string());
            redeemed["coupon"]["expires_at"].clone()
        };
        assert_eq!(ends("2026-08-26T14:20:01Z"), "2026-09-27T14:20:00Z");
        assert_eq!(ends("2026-08-27T14:20:00Z"), "2026-09-27T14:20:00Z");
        // The times move back as well.
        assert_eq!(ends("2025-08-25T15:20:00Z"), "2025-09-26T14:20:00Z");
    }

    #[test]
    fn all_times_move_by_the_same_amount() {
        let now = "2026-08-26T14:20:00.9Z".parse().unwrap();
        let mut redeemed = body("zupy-coupon-redeemed");
        let before = Sender::Zupy.move_to(&mut redeemed, now).unwrap();
        assert_eq!(before.to_string(), "2025-08-26T14:20:00Z");
        assert_eq!(redeemed["timestamp"], "2026-08-26T14:20:00Z");
        assert_eq!(redeemed["coupon"]["expires_at"], "2026-09-26T14:20:00Z");

        let mut redeemed = body("aghanim-coupon-redeemed-bundle");
        Sender::Aghanim.move_to(&mut redeemed, now).unwrap();
        assert_eq!(redeemed["event_time"], now.as_second());
        assert_eq!(
            redeemed["event_data"]["coupon"]["redeemed_at"],
            now.as_second() - 1
        );
    }

    #[test]
    fn values_that_are_no_times_stay() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut undated = json!({"timestamp": "soon"});
        assert_eq!(Sender::Zupy.move_to(&mut undated, now), None);
        let mut dated =
            json!({"timestamp": "2025-08-26T14:20:00Z", "coupon": {"expires_at": "never"}});
        Sender::Zupy.move_to(&mut dated, now).unwrap();
        assert_eq!(dated["coupon"]["expires_at"], "never");
    }

    #[test]
    fn copies_are_about_members_of_their_own() {
        for sample in SAMPLES {
            let mut copy = body(sample.name);
            sample.sender.rename_member(&mut copy, "-R-1");
            let member = field(&copy, sample.sender.member_path());
            let member = member.and_then(Value::as_str);
            assert!(member.unwrap().ends_with("-R-1"), "{}", sample.name);
        }
    }

    #[test]
    fn copies_differ_in_the_names_of_their_coupons() {
        let mut used = body("zupy-coupon-used");
        Sender::Zupy.rename(&mut used, "-R-1").unwrap();
        assert_eq!(used["usage"]["coupon_code"], "CP-A1B2C3D4-R-1");
        assert_eq!(used["usage"]["order_id"], "ord_POS_789-R-1");

        let mut redeemed = body("aghanim-coupon-redeemed-bundle");
        Sender::Aghanim.rename(&mut redeemed, "-R-1").unwrap();
        assert_eq!(redeemed["idempotency_key"], "idmpt_bundle0001-R-1");
        assert_eq!(redeemed["event_id"], "whevt_bundle0001-R-1");
        assert_eq!(redeemed["event_data"]["coupon"]["code"], "LAUNCHDAY");

        let error = Sender::Zupy.rename(&mut json!({}), "-R-1").unwrap_err();
        assert!(error.to_string().contains("usage.coupon_code"));
    }
}
