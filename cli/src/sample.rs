//! The providers' sample bodies, and the edits that turn one sample into another event.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use webhooks::provider::{aghanim, zupy};
use webhooks::verify::Scheme;

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

/// A sample's provider and format: how the webhook is signed, and where its body has times and
/// names.
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

    /// Moves all times of the body, so that the body says it is sent at `now`. Returns the earlier
    /// time of sending, or `None` if the body has none.
    ///
    /// The coupon's end moves by whole days, at least as far as the other times. So a sample that
    /// is sent twice on one day has the same end, and is a duplicate. Values that are no times
    /// stay.
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

/// A place in a JSON body: `usage.items_affected[0].quantity`; `.0.` is the same as `[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A field of an object; or an index of a list, if the name is a number.
    Name(String),
    Index(usize),
}

impl Path {
    /// Whether the path leads to these names, or to a part that contains them.
    pub(crate) fn leads_to(&self, names: &[&str]) -> bool {
        let is = |(step, name): (&Step, &&str)| matches!(step, Step::Name(it) if it == name);
        self.0.len() <= names.len() && self.0.iter().zip(names).all(is)
    }
}

impl FromStr for Path {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, indices) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            if !name.is_empty() {
                steps.push(Step::Name(name.to_owned()));
            } else if indices.is_empty() || steps.is_empty() {
                bail!(
                    "{text:?} is not a path: a name is missing; write it like \
                     `coupon.points_spent` or `items[0].name`"
                );
            }
            let mut rest = indices;
            while !rest.is_empty() {
                let index = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
                let Some((index, after)) = index else {
                    bail!("{text:?} is not a path: {indices:?} must be an index such as [0]");
                };
                steps.push(Step::Index(index));
                rest = after;
            }
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

fn describe(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.push_str(&format!(".{name}")),
        }
    }
    if text.is_empty() {
        text.push_str("the body");
    }
    text
}

impl Path {
    /// Puts a value in this place. A missing or null part of the path becomes an object, or a list
    /// for `[0]`.
    pub(crate) fn set(&self, body: &mut Value, value: Value) -> anyhow::Result<()> {
        let mut place = body;
        for (depth, step) in self.0.iter().enumerate() {
            place = enter_or_create(place, step, &self.0[..depth])
                .with_context(|| format!("cannot set `{self}`"))?;
        }
        *place = value;
        Ok(())
    }

    /// Removes this place from the body.
    pub(crate) fn unset(&self, body: &mut Value) -> anyhow::Result<()> {
        let Some((last, parents)) = self.0.split_last() else {
            bail!("cannot unset the whole body");
        };
        let mut place = Some(body);
        for step in parents {
            place = place.and_then(|place| match (place, step) {
                (Value::Object(fields), Step::Name(name)) => fields.get_mut(name),
                (Value::Array(items), step) => items.get_mut(step.index()?),
                _ => None,
            });
        }
        let removed = match (place, last) {
            // `remove` would change the order of the other fields.
            (Some(Value::Object(fields)), Step::Name(name)) => fields.shift_remove(name),
            (Some(Value::Array(items)), step) => step
                .index()
                .filter(|index| *index < items.len())
                .map(|index| items.remove(index)),
            _ => None,
        };
        removed
            .map(drop)
            .with_context(|| format!("cannot unset `{self}`: the body has nothing there"))
    }
}

impl Step {
    fn index(&self) -> Option<usize> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Name(name) => name.parse().ok(),
        }
    }
}

fn enter_or_create<'a>(
    place: &'a mut Value,
    step: &Step,
    parents: &[Step],
) -> anyhow::Result<&'a mut Value> {
    if place.is_null() {
        *place = match step {
            Step::Name(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    let parent = describe(parents);
    match (place, step) {
        (Value::Object(fields), Step::Name(name)) => {
            Ok(fields.entry(name.as_str()).or_insert(Value::Null))
        }
        (Value::Array(items), step) => {
            let count = items.len();
            let index = step
                .index()
                .with_context(|| format!("{parent} is a list: an index such as [0] must follow"))?;
            if index > count {
                bail!("{parent} has {count} items: the highest index is [{count}], a new item");
            }
            if index == count {
                items.push(Value::Null);
            }
            Ok(&mut items[index])
        }
        (Value::Object(_), Step::Index(_)) => {
            bail!("{parent} is an object: a name must follow, not an index")
        }
        (other, _) => bail!("{parent} is {other}, which has nothing inside"),
    }
}

/// `path=value` as given on the command line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) path: Path,
    /// The value as JSON, or as text if it is not JSON.
    pub(crate) value: Value,
}

impl FromStr for Assignment {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (path, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?} has no `=`: write path=value"))?;
        Ok(Self {
            path: path.parse()?,
            value: serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        })
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

    #[track_caller]
    fn check_set(before: Value, assignment: &str, after: Value) {
        let mut body = before;
        let Assignment { path, value } = assignment.parse().unwrap();
        path.set(&mut body, value).unwrap();
        assert_eq!(body, after);
    }

    #[test]
    fn sets_a_field_to_json_or_to_text() {
        check_set(json!({"a": 1}), "a=10", json!({"a": 10}));
        check_set(json!({"a": 1}), "a=null", json!({"a": null}));
        check_set(json!({"a": 1}), "a=[1,2]", json!({"a": [1, 2]}));
        check_set(json!({"a": 1}), "a=ten", json!({"a": "ten"}));
        check_set(json!({"a": 1}), "a=\"10\"", json!({"a": "10"}));
        check_set(json!({"a": 1}), "a=", json!({"a": ""}));
        check_set(json!({"a": 1}), "a=x=y", json!({"a": "x=y"}));
    }

    #[test]
    fn sets_inside_lists_by_either_spelling() {
        let before = json!({"items": [{"q": 1}, {"q": 1}]});
        let after = json!({"items": [{"q": 1}, {"q": 2}]});
        check_set(before.clone(), "items[1].q=2", after.clone());
        check_set(before, "items.1.q=2", after);
        check_set(json!({"a": [[1]]}), "a[0][0]=2", json!({"a": [[2]]}));
        check_set(json!({"a": [1]}), "a[1]=2", json!({"a": [1, 2]}));
    }

    #[test]
    fn creates_missing_and_null_parts_of_the_path() {
        check_set(json!({}), "a.b.c=1", json!({"a": {"b": {"c": 1}}}));
        check_set(json!({"a": null}), "a.b=1", json!({"a": {"b": 1}}));
        check_set(json!({}), "a[0].b=1", json!({"a": [{"b": 1}]}));
        check_set(json!({}), "a.0=1", json!({"a": {"0": 1}}));
    }

    #[track_caller]
    fn check_refused(assignment: &str, expected: &str) {
        let mut body = body("zupy-coupon-used");
        let error = assignment
            .parse()
            .and_then(|Assignment { path, value }| path.set(&mut body, value))
            .unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn an_impossible_path_says_what_is_there() {
        check_refused(
            "usage.order_value.cents=1",
            "cannot set `usage.order_value.cents`: usage.order_value is 67.5, which has nothing \
             inside",
        );
        check_refused(
            "usage.items_affected[2].quantity=1",
            "cannot set `usage.items_affected[2].quantity`: usage.items_affected has 1 items: the \
             highest index is [1], a new item",
        );
        check_refused(
            "usage.items_affected.name=1",
            "cannot set `usage.items_affected.name`: usage.items_affected is a list: an index \
             such as [0] must follow",
        );
        check_refused(
            "usage[0]=1",
            "cannot set `usage[0]`: usage is an object: a name must follow, not an index",
        );
        check_refused("usage", r#""usage" has no `=`: write path=value"#);
        check_refused(
            "usage..x=1",
            r#""usage..x" is not a path: a name is missing; write it like `coupon.points_spent` or `items[0].name`"#,
        );
        check_refused(
            "usage[x]=1",
            r#""usage[x]" is not a path: "[x]" must be an index such as [0]"#,
        );
    }

    #[test]
    fn takes_a_field_out_and_leaves_the_others_in_their_order() {
        let mut body = json!({"a": 1, "b": [1, 2], "c": 3, "d": 4});
        for path in ["a", "b[0]"] {
            path.parse::<Path>().unwrap().unset(&mut body).unwrap();
        }
        assert_eq!(body.to_string(), r#"{"b":[2],"c":3,"d":4}"#);
        for path in ["a", "b[1]", "b.x", "c.x"] {
            let error = path.parse::<Path>().unwrap().unset(&mut body).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot unset `{path}`: the body has nothing there")
            );
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
