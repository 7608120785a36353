//! The settings of surveys.

use jiff::SignedDuration;
use webhooks::config::Environment;
use webhooks::event::Event;
use webhooks::per_tenant::{PerTenant, Zones};
use webhooks::survey::{PAUSE_MAX_DAYS, Pauses};

use crate::timing::{Quiet, Timing};

/// The longest time from a use to its survey, in seconds: a day.
const DELAY_MAX_S: i64 = 24 * 3600;

/// The longest time over which the surveys of a morning are spread, in seconds.
const SPREAD_MAX_S: i64 = 3 * 3600;

#[derive(Debug)]
pub(crate) struct Settings {
    delay: SignedDuration,
    spread: SignedDuration,
    quiet: PerTenant<Quiet>,
    pub(crate) zones: Zones,
    pub(crate) pauses: Pauses,
    /// The URL of the pages, without a slash at the end.
    url: String,
}

impl Settings {
    pub(crate) fn read(environment: &mut Environment) -> Self {
        let url = environment.text("SURVEY_URL");
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && !is_url {
            environment.problem(format!(
                "SURVEY_URL is {url:?}, it must begin with https:// or http://"
            ));
        }
        Self {
            delay: seconds(environment, "SURVEY_DELAY_S", DELAY_MAX_S),
            spread: seconds(environment, "SURVEY_SPREAD_S", SPREAD_MAX_S),
            quiet: PerTenant::read(
                environment,
                "SURVEY_QUIET_HOURS",
                Quiet::OFF,
                "hours such as 22:00-08:00, at most 18 of them, or off",
                Quiet::parse,
            ),
            zones: Zones::read_zones(environment),
            pauses: Pauses {
                answered: days(environment, "SURVEY_ANSWERED_PAUSE_DAYS"),
                ignored: days(environment, "SURVEY_IGNORED_PAUSE_DAYS"),
            },
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// The settings for the timing of a tenant's surveys.
    pub(crate) fn timing(&self, event: &Event) -> Timing<'_> {
        Timing {
            delay: self.delay,
            spread: self.spread,
            quiet: *self.quiet.of(&event.tenant),
            zone: self.zones.of(&event.tenant),
        }
    }

    /// The dashboard's page of a coupon. The dashboard belongs to the same API as the surveys.
    pub(crate) fn coupon_page(&self, key: &str) -> String {
        format!("{}/dashboard/coupons/{}", self.url, in_path(key))
    }

    /// The link to a survey's page.
    pub(crate) fn link(&self, token: &str) -> String {
        format!("{}/surveys/{token}", self.url)
    }
}

/// A coupon's key as a part of a path.
fn in_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            it if it.is_ascii_alphanumeric() => path.push(char::from(it)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

fn seconds(environment: &mut Environment, name: &str, max: i64) -> SignedDuration {
    SignedDuration::from_secs(at_most(environment, name, max))
}

fn days(environment: &mut Environment, name: &str) -> SignedDuration {
    SignedDuration::from_hours(24 * at_most(environment, name, PAUSE_MAX_DAYS))
}

fn at_most(environment: &mut Environment, name: &str, max: i64) -> i64 {
    let number = environment.number(name, 0);
    if number > max {
        environment.problem(format!("{name} is {number}, it must be at most {max}"));
    }
    number.min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 7] = [
        ("TIME_ZONE", "America/Sao_Paulo"),
        ("SURVEY_URL", "https://cupons.example.com/"),
        ("SURVEY_DELAY_S", "7200"),
        ("SURVEY_SPREAD_S", "3600"),
        ("SURVEY_QUIET_HOURS", "22:00-08:00,comp_b=off"),
        ("SURVEY_ANSWERED_PAUSE_DAYS", "30"),
        ("SURVEY_IGNORED_PAUSE_DAYS", "14"),
    ];

    /// The problem of a variable with a wrong value.
    fn problems(name: &str, value: &str) -> String {
        let others = GOOD.into_iter().filter(|(other, _)| *other != name);
        let mut environment = Environment::of(others.chain([(name, value)]));
        Settings::read(&mut environment);
        let problems = environment.check().err();
        problems.map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn good_settings_are_read() {
        let mut environment = Environment::of(GOOD);
        let settings = Settings::read(&mut environment);
        assert!(environment.check().is_ok());
        assert_eq!(
            settings.link("abc"),
            "https://cupons.example.com/surveys/abc"
        );
        assert_eq!(
            settings.coupon_page("zupy#comp#CP%2F1"),
            "https://cupons.example.com/dashboard/coupons/zupy%23comp%23CP%252F1"
        );
        assert_eq!(*settings.quiet.of("comp_b"), Quiet::OFF);
        assert_ne!(*settings.quiet.of("comp_a"), Quiet::OFF);
        assert_eq!(settings.pauses.ignored, SignedDuration::from_hours(14 * 24));
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_it_must_be() {
        let check = |name: &str, value: &str, expected: &str| {
            let problems = problems(name, value);
            assert!(problems.contains(expected), "{problems}");
        };
        check("SURVEY_URL", "", "SURVEY_URL is not set");
        check("SURVEY_URL", "example.com", "it must begin with https://");
        check("SURVEY_DELAY_S", "-1", "SURVEY_DELAY_S is \"-1\"");
        check("SURVEY_DELAY_S", "86401", "it must be at most 86400");
        check("SURVEY_SPREAD_S", "10801", "it must be at most 10800");
        check(
            "SURVEY_QUIET_HOURS",
            "at night",
            "hours such as 22:00-08:00",
        );
        check("SURVEY_IGNORED_PAUSE_DAYS", "366", "at most 365");
    }
}
