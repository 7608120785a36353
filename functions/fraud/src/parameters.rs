//! Which rules run, and their limits: for all tenants, with exceptions for some.
//!
//! `rapid_redemption=5/3600,final_value=off;comp_x:rapid_redemption=10/600,final_value=on`:
//! `;` separates sections, and `,` separates settings. The section without a tenant is for all
//! tenants.

use std::collections::BTreeMap;

use webhooks::event::unescape;

use crate::rapid::{RAPID_REDEMPTION, Rapid};
use crate::rules::RULES;
use crate::settings::Settings;

/// The longest window for counting redemptions. The members' history lives long enough for it.
const WINDOW_MAX_S: i64 = 24 * 3600;

/// The settings of all tenants.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    of_all: Settings,
    of_tenants: BTreeMap<String, Settings>,
}

fn set(settings: &mut Settings, setting: &str) -> Result<(), String> {
    let Some((name, value)) = setting.split_once('=') else {
        return Err(format!(
            "{setting:?} is not of the form rule=on or rule=off"
        ));
    };
    let (name, value) = (name.trim(), value.trim());
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        return Err(format!(
            "{name:?} is no rule; the rules are {}",
            names.join(", ")
        ));
    };
    match value {
        "on" => _ = settings.off.remove(rule.name),
        "off" => _ = settings.off.insert(rule.name),
        _ if rule.name == RAPID_REDEMPTION => {
            settings.rapid = rapid(value).ok_or_else(|| {
                format!(
                    "{name} is {value:?}, it must be on, off, or as 5/3600: how many within how many seconds, \
                     at least 2 within at most {WINDOW_MAX_S}"
                )
            })?;
            settings.off.remove(rule.name);
        }
        _ => return Err(format!("{name} is {value:?}; it must be on or off")),
    }
    Ok(())
}

fn rapid(value: &str) -> Option<Rapid> {
    let (count, window_s) = value.split_once('/')?;
    let rapid = Rapid {
        count: count.trim().parse().ok()?,
        window_s: window_s.trim().parse().ok()?,
    };
    let is_fit = rapid.count >= 2 && (1..=WINDOW_MAX_S).contains(&rapid.window_s);
    is_fit.then_some(rapid)
}

impl Parameters {
    /// Reads the settings, or returns all problems.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut of_all = Settings::default();
        let sections = text.split(';').map(str::trim).filter(|it| !it.is_empty());
        // No setting contains a colon, but a tenant may.
        let (of_some, of_each): (Vec<_>, Vec<_>) = sections.partition(|it| it.contains(':'));
        for section in of_each {
            problems.extend(set_all(&mut of_all, section));
        }
        let mut of_tenants = BTreeMap::new();
        for section in of_some {
            let (tenant, section) = section.rsplit_once(':').unwrap_or_default();
            let tenant = unescape(tenant.trim());
            if tenant.is_empty() {
                problems.push(format!("{section:?} has a colon and no tenant before it"));
            }
            let settings = of_tenants.entry(tenant.clone());
            let settings = settings.or_insert_with(|| of_all.clone());
            let of_tenant = set_all(settings, section).into_iter();
            problems.extend(of_tenant.map(|problem| format!("{tenant}: {problem}")));
        }
        match problems.is_empty() {
            true => Ok(Self { of_all, of_tenants }),
            false => Err(problems),
        }
    }

    /// The settings of a tenant, by the provider's name for it.
    pub(crate) fn of(&self, tenant: &str) -> &Settings {
        self.of_tenants.get(tenant).unwrap_or(&self.of_all)
    }
}

fn set_all(settings: &mut Settings, section: &str) -> Vec<String> {
    let each = section
        .split(',')
        .map(str::trim)
        .filter(|it| !it.is_empty());
    each.filter_map(|setting| set(settings, setting).err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tenant: &str, rapid: (usize, i64), off: &[&str]) {
        let parameters = Parameters::parse(text).unwrap();
        let settings = parameters.of(tenant);
        let (count, window_s) = rapid;
        assert_eq!(settings.rapid, Rapid { count, window_s }, "{text}");
        let found = RULES.iter().filter(|rule| !settings.runs(rule.name));
        let found: Vec<_> = found.map(|rule| rule.name).collect();
        assert_eq!(found, off, "{text}");
    }

    #[test]
    fn without_settings_every_rule_runs() {
        for text in ["", " ", ";;", " , ; "] {
            check(text, "comp", (5, 3600), &[]);
        }
    }

    #[test]
    fn a_setting_is_for_all_tenants_or_for_one() {
        let text = "rapid_redemption=7/60, excessive_discount=off; comp_x: rapid_redemption = 10/3600, excessive_discount=on";
        check(text, "comp", (7, 60), &["excessive_discount"]);
        check(text, "comp_x", (10, 3600), &[]);
    }

    #[test]
    fn the_section_for_all_may_come_last() {
        let text = "comp_x:final_value=off;expired_usage=off";
        check(text, "comp", (5, 3600), &["expired_usage"]);
        check(text, "comp_x", (5, 3600), &["expired_usage", "final_value"]);
    }

    #[test]
    fn a_threshold_switches_on() {
        check(
            "rapid_redemption=off",
            "c",
            (5, 3600),
            &["rapid_redemption"],
        );
        check(
            "rapid_redemption=off;c:rapid_redemption=2/86400",
            "c",
            (2, 86400),
            &[],
        );
    }

    #[test]
    fn a_tenant_may_have_any_name() {
        check("a:b:final_value=off", "a:b", (5, 3600), &["final_value"]);
        check("a%3Bb:final_value=off", "a;b", (5, 3600), &["final_value"]);
    }

    #[test]
    fn one_error_lists_every_problem() {
        let text = "rapid=5/3600,rapid_redemption=5,final_value;:final_value=off;c:rapid_redemption=1/60,expired_usage=yes,\
                    rapid_redemption=2/86401";
        let of_rapid = |value: &str| {
            format!(
                "rapid_redemption is {value:?}, it must be on, off, or as 5/3600: how many within how many seconds, at least 2 \
                 within at most 86400"
            )
        };
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        let expected = [
            format!("\"rapid\" is no rule; the rules are {}", names.join(", ")),
            of_rapid("5"),
            "\"final_value\" is not of the form rule=on or rule=off".to_owned(),
            "\"final_value=off\" has a colon and no tenant before it".to_owned(),
            format!("c: {}", of_rapid("1/60")),
            "c: expired_usage is \"yes\"; it must be on or off".to_owned(),
            format!("c: {}", of_rapid("2/86401")),
        ];
        assert_eq!(Parameters::parse(text).unwrap_err(), expected);
    }
}
