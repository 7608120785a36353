//! Opens the sources of reports for the command line. The command reads the system's tables
//! directly, with the permissions of the person who runs it.

use anyhow::{anyhow, bail};
use reporting::{Parameters, Refused, Sources};
use webhooks::config::Environment;
use webhooks::figures::Tables;
use webhooks::per_tenant::Zones;

use crate::target::{self, Target};

/// The template's default for `TimeZone`.
const TIME_ZONE: &str = "America/Sao_Paulo";

/// Connects to the system, and opens the sources. The zones are those of the variable TIME_ZONE, in
/// the format of the template's parameter `TimeZone`. Without the variable, they are the system's
/// own.
pub(crate) async fn open(arguments: &target::Arguments) -> anyhow::Result<Sources> {
    let target = Target::connect(arguments).await?;
    let given = std::env::var("TIME_ZONE").unwrap_or_default();
    let zone = match given.trim() {
        "" => arguments.time_zone().await?,
        given => Some(given.to_owned()),
    };
    let zone = zone.as_deref().unwrap_or(TIME_ZONE);
    let mut environment = Environment::of([("TIME_ZONE", zone)]);
    let zones = Zones::read_zones(&mut environment);
    if environment.check().is_err() {
        bail!("TIME_ZONE is {zone:?}, it must be IANA names such as {TIME_ZONE}");
    }
    let tables = Tables {
        figures: target.table("figures")?.to_owned(),
        events: target.table("events")?.to_owned(),
        members: target.table("members")?.to_owned(),
    };
    Ok(Sources::new(target.dynamodb.clone(), tables, zones))
}

/// Builds the parameters that the same question over HTTP would have.
pub(crate) fn parameters<'a>(
    given: impl IntoIterator<Item = (&'static str, Option<&'a str>)>,
) -> Parameters {
    let given = given.into_iter();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Parameters::of(given)
}

/// Explains a refusal to a person. The text names options as a person types them.
pub(crate) fn explain(refused: Refused) -> anyhow::Error {
    explain_with(refused, |field| field)
}

/// Explains a refusal in the words of the command, because its options have other names than the
/// parameters.
pub(crate) fn explain_with(refused: Refused, option: impl Fn(&str) -> &str) -> anyhow::Error {
    match refused {
        Refused::Invalid(problems) => {
            let problems = problems.iter().map(|problem| match problem.value.as_str() {
                "" => format!("--{} {}", option(&problem.field), problem.problem),
                value => format!("--{} {value}: {}", option(&problem.field), problem.problem),
            });
            anyhow!("{}", problems.collect::<Vec<_>>().join("; "))
        }
        Refused::NotFound { what, .. } => anyhow!("there is no {what}"),
        Refused::Unavailable(error) => error,
        other => anyhow!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use reporting::Problem;

    use super::*;

    #[test]
    fn a_problem_names_the_option_that_a_person_types() {
        let refused = || {
            Refused::Invalid(vec![Problem {
                field: "from".into(),
                value: "x".into(),
                problem: "must be a date".into(),
                portuguese: "deve ser uma data".into(),
            }])
        };
        assert_eq!(explain(refused()).to_string(), "--from x: must be a date");
        let since = explain_with(refused(), |field| match field {
            "from" => "since",
            other => other,
        });
        assert_eq!(since.to_string(), "--since x: must be a date");
    }
}
