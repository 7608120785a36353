//! A setting that may have a value of its own for each tenant: `pt-BR, comp_soho=en`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::environment::Environment;

/// One value for every tenant, and others for the named tenants.
#[derive(Debug, Clone, Default)]
pub struct PerTenant<T> {
    otherwise: T,
    of: BTreeMap<String, T>,
}

impl<T> PerTenant<T> {
    /// The same value for every tenant.
    pub fn all(value: T) -> Self {
        Self {
            otherwise: value,
            of: BTreeMap::new(),
        }
    }

    /// The value of a tenant.
    pub fn of(&self, tenant: &str) -> &T {
        self.of.get(tenant).unwrap_or(&self.otherwise)
    }

    /// Every value: the one for all tenants, and those of the named tenants.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.otherwise).chain(self.of.values())
    }

    /// Reads a variable: values separated by commas, each `value` or `tenant=value`. A value that
    /// cannot be read becomes a problem of the environment, which names the variable, the value,
    /// and what was `expected`.
    pub fn read(
        environment: &mut Environment,
        variable: &str,
        otherwise: T,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Self {
        let text = environment.text(variable);
        let mut values = Self::all(otherwise);
        let mut has_default = false;
        for part in text.split(',') {
            let (tenant, name) = match part.split_once('=') {
                Some((tenant, name)) => (Some(tenant.trim()), name.trim()),
                None => (None, part.trim()),
            };
            if tenant.is_none() && name.is_empty() {
                continue;
            }
            let Some(value) = read(name) else {
                environment.problem(format!("{variable} has {name:?}, it must be {expected}"));
                continue;
            };
            let named_twice = match tenant {
                Some("") => {
                    environment.problem(format!("{variable} has a tenant without a name"));
                    continue;
                }
                Some(tenant) => values.of.insert(tenant.to_owned(), value).is_some(),
                None => {
                    values.otherwise = value;
                    std::mem::replace(&mut has_default, true)
                }
            };
            if named_twice {
                let whose = tenant.map_or("every tenant".into(), |it| format!("{it:?}"));
                environment.problem(format!("{variable} has two values for {whose}"));
            }
        }
        values
    }
}

/// The time zones of tenants.
pub type Zones = PerTenant<TimeZone>;

impl Zones {
    /// Reads `TIME_ZONE`: IANA names.
    pub fn read_zones(environment: &mut Environment) -> Self {
        Self::read(
            environment,
            "TIME_ZONE",
            TimeZone::UTC,
            "an IANA name such as America/Sao_Paulo",
            |name| TimeZone::get(name).ok(),
        )
    }

    /// UTC for every tenant.
    pub fn utc() -> Self {
        Self::all(TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (PerTenant<u8>, Option<String>) {
        let mut environment = Environment::of([("SIZES", text)]);
        let sizes = PerTenant::read(&mut environment, "SIZES", 1, "a size", |it| it.parse().ok());
        let problems = environment.check().err().map(|it| it.to_string());
        (sizes, problems)
    }

    #[test]
    fn a_named_tenant_has_its_own_value_and_the_others_share_one() {
        let (sizes, problems) = read(" 7, comp_a = 8,,comp_b=9 ");
        assert_eq!(problems, None);
        let of = ["comp_a", "comp_b", "comp_c"].map(|tenant| *sizes.of(tenant));
        assert_eq!(of, [8, 9, 7]);
        assert_eq!(sizes.values().collect::<Vec<_>>(), [&7, &8, &9]);
        assert_eq!(*read("comp_a=8").0.of("comp_c"), 1);
    }

    #[track_caller]
    fn refuses(text: &str, problem: &str) {
        let (_, problems) = read(text);
        let problems = problems.expect("a problem");
        assert!(problems.contains(problem), "{problems}");
    }

    #[test]
    fn the_problem_names_the_unreadable_value() {
        refuses("big", r#"SIZES has "big", it must be a size"#);
        refuses("7,comp_a=", r#"SIZES has "", it must be a size"#);
        refuses("=7", "SIZES has a tenant without a name");
        refuses("7,8", "SIZES has two values for every tenant");
        refuses("a=7,a=8", r#"SIZES has two values for "a""#);
    }

    #[test]
    fn a_zone_is_an_iana_name() {
        let mut environment = Environment::of([("TIME_ZONE", "America/Sao_Paulo,x=Asia/Tokyo")]);
        let zones = Zones::read_zones(&mut environment);
        assert!(environment.check().is_ok());
        assert_eq!(zones.of("x").iana_name(), Some("Asia/Tokyo"));
        assert_eq!(zones.of("y").iana_name(), Some("America/Sao_Paulo"));
    }
}
