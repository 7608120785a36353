//! The sources of all answers: the figures, the ledger, the tables and the tokens.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::{Day, Directory, Figures, Tables};
use webhooks::ledger::Ledger;
use webhooks::per_tenant::Zones;
use webhooks::secrets::SecretStore;

use crate::access::Scope;
use crate::parameters::Parameters;
use crate::period::{Compare, Period, Today};
use crate::refused::{Problem, Refused};
use crate::report::{Asked, Report};
use crate::said::Said;
use crate::tenant::{OfTenant, Tenant};

/// The most tenants of one answer.
pub const TENANTS_MAX: usize = 100;

const TENANT: Said = Said::new("must be a tenant's name", "deve ser o nome de uma empresa");

/// The providers, by the names that the parameter accepts.
pub const PROVIDERS: [(&str, &str); 2] = [
    (
        webhooks::provider::aghanim::NAME,
        webhooks::provider::aghanim::NAME,
    ),
    (
        webhooks::provider::zupy::NAME,
        webhooks::provider::zupy::NAME,
    ),
];

/// What every kind of reader reads: the figures, the ledger and the tables.
#[derive(Debug)]
pub struct Sources {
    pub figures: Figures,
    pub ledger: Ledger,
    pub client: Client,
    /// The name of the table of members.
    pub members_table: String,
    /// The name of the table of figures.
    pub figures_table: String,
    pub zones: Zones,
}

/// A tenant's provider and its name.
pub type Named = (String, String);

impl Sources {
    pub fn new(client: Client, tables: Tables, zones: Zones) -> Self {
        // The reports record nothing, so they need no retention.
        let ledger = Ledger::new(client.clone(), &tables.events, SignedDuration::ZERO);
        Self {
            ledger,
            members_table: tables.members.clone(),
            figures_table: tables.figures.clone(),
            figures: Figures::new(client.clone(), tables),
            client,
            zones,
        }
    }

    /// Reads the settings from the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let tables = Tables {
            figures: environment.text("FIGURES_TABLE"),
            events: environment.text("EVENTS_TABLE"),
            members: environment.text("MEMBERS_TABLE"),
        };
        let client = Client::new(&aws.sdk_config(CallLimits::TASK));
        Self::new(client, tables, Zones::read_zones(environment))
    }

    /// The parameters that every question about days shares, apart from the tenants.
    pub fn ask(
        &self,
        parameters: &mut Parameters,
        scope: &Scope,
        now: Timestamp,
    ) -> (Asked, Today) {
        let (tenant, provider) = whom(parameters, scope);
        let today = self.today(tenant.as_deref(), scope, now);
        let asked = Asked {
            period: Period::read(parameters, today),
            compare: Compare::None,
            tenant,
            provider,
        };
        (asked, today)
    }

    /// Today for the tenant, or for all tenants that the token may read.
    fn today(&self, tenant: Option<&str>, scope: &Scope, now: Timestamp) -> Today {
        match (tenant, scope.named()) {
            (Some(tenant), _) => Today::of([self.zones.of(tenant)], now),
            (None, Some(named)) => Today::of(named.iter().map(|it| self.zones.of(it)), now),
            (None, None) => Today::of(self.zones.values(), now),
        }
    }

    /// The IANA name of the time zone that sets the days of a question.
    pub fn zone(&self, asked: &Asked) -> String {
        let tenant = asked.tenant.as_deref().unwrap_or_default();
        self.zone_of(tenant)
    }

    /// The IANA name of the time zone that sets a tenant's days.
    pub fn zone_of(&self, tenant: &str) -> String {
        let zone = self.zones.of(tenant);
        zone.iana_name().unwrap_or("UTC").to_owned()
    }

    /// The tenants with figures that the token may read and the question names.
    ///
    /// # Errors
    /// The same as those of [`choose`].
    pub async fn tenants(
        &self,
        scope: &Scope,
        tenant: Option<&str>,
        provider: Option<&str>,
    ) -> Result<Vec<Named>, Refused> {
        if tenant.is_some_and(|tenant| !scope.may_read(tenant)) {
            return Err(unknown_tenant());
        }
        choose(self.figures.tenants().await?, scope, tenant, provider)
    }

    /// The figures of the tenants that a question names.
    pub async fn figures_of(
        &self,
        scope: &Scope,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Vec<OfTenant>, Refused> {
        let (tenant, provider) = (asked.tenant.as_deref(), asked.provider.as_deref());
        if tenant.is_some_and(|tenant| !scope.may_read(tenant)) {
            return Err(unknown_tenant());
        }
        let directory = self.figures.directory().await?;
        let tenants = choose(directory.tenants(), scope, tenant, provider)?;
        Ok(self
            .figures_of_each(&directory, tenants, asked, now)
            .await?)
    }

    /// The figures of these tenants.
    pub async fn figures_of_each(
        &self,
        directory: &Directory,
        tenants: Vec<Named>,
        asked: &Asked,
        now: Timestamp,
    ) -> anyhow::Result<Vec<OfTenant>> {
        let period = asked.period;
        let other = period.compared(asked.compare);
        let periods = [Some(period), other].into_iter().flatten();
        let periods: Vec<_> = periods.map(|period| (period.from, period.to)).collect();
        let days = self.figures.days_of(directory, &tenants, &periods).await?;
        let of_tenants = tenants.into_iter().zip(days);
        let of_tenants = of_tenants.map(|((provider, tenant), days)| {
            let zone = self.zones.of(&tenant).clone();
            let (days, compared) = split(days, period, other);
            OfTenant {
                now: now.to_zoned(zone).datetime(),
                tenant: Tenant {
                    time_zone: self.zone_of(&tenant),
                    provider,
                    tenant,
                },
                days,
                compared,
            }
        });
        Ok(of_tenants.collect())
    }

    /// The report for these parameters.
    pub async fn report(
        &self,
        mut parameters: Parameters,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Report, Refused> {
        let (mut asked, today) = self.ask(&mut parameters, scope, now);
        asked.compare = Compare::read(&mut parameters);
        parameters.finish()?;
        let tenants = self.figures_of(scope, &asked, now).await?;
        let zone = self.zone(&asked);
        Ok(Report::new(&asked, &tenants, &zone, today, now))
    }
}

/// The days of a period, and those of the other period in a comparison. A day may belong to both.
fn split(
    days: BTreeMap<Date, Day>,
    period: Period,
    other: Option<Period>,
) -> (BTreeMap<Date, Day>, BTreeMap<Date, Day>) {
    let (mut own, mut compared) = (BTreeMap::new(), BTreeMap::new());
    for (date, day) in days {
        let is_compared = other.is_some_and(|it| it.contains(date));
        match (period.contains(date), is_compared) {
            (true, true) => {
                own.insert(date, day.clone());
                compared.insert(date, day);
            }
            (true, false) => _ = own.insert(date, day),
            (false, true) => _ = compared.insert(date, day),
            (false, false) => {}
        }
    }
    (own, compared)
}

/// The tenants, among all, that the token may read and the question asks for.
///
/// # Errors
/// The named tenant is not one of these, or one answer cannot be about so many.
pub fn choose(
    tenants: Vec<Named>,
    scope: &Scope,
    tenant: Option<&str>,
    provider: Option<&str>,
) -> Result<Vec<Named>, Refused> {
    let tenants = pick(tenants, scope, tenant, provider)?;
    if tenants.len() > TENANTS_MAX {
        let count = tenants.len();
        let problem = Said::of(
            format!(
                "must name one: there are {count} tenants, and an answer has at most {TENANTS_MAX}"
            ),
            format!(
                "deve indicar uma: há {count} empresas, e uma resposta tem no máximo {TENANTS_MAX}"
            ),
        );
        return Err(Refused::Invalid(vec![Problem::new("tenant", "", problem)]));
    }
    Ok(tenants)
}

/// The same, however many they are.
///
/// # Errors
/// The named tenant is not one of these.
pub fn pick(
    mut tenants: Vec<Named>,
    scope: &Scope,
    tenant: Option<&str>,
    provider: Option<&str>,
) -> Result<Vec<Named>, Refused> {
    if tenant.is_some_and(|tenant| !scope.may_read(tenant)) {
        return Err(unknown_tenant());
    }
    tenants.retain(|(_, own)| scope.may_read(own) && tenant.is_none_or(|tenant| tenant == own));
    let is_known = !tenants.is_empty() || scope.named().is_some();
    if tenant.is_some() && !is_known {
        return Err(unknown_tenant());
    }
    tenants.retain(|(own, _)| provider.is_none_or(|provider| provider == own));
    tenants.sort_unstable();
    Ok(tenants)
}

fn unknown_tenant() -> Refused {
    Refused::not_found("such tenant", ", or this token may not read it")
}

/// Reads the parameters `tenant` and `provider`. A token for one tenant alone names that tenant.
pub fn whom(parameters: &mut Parameters, scope: &Scope) -> (Option<String>, Option<String>) {
    let tenant = parameters.text("tenant", &TENANT);
    let tenant = tenant.or_else(|| scope.only().map(str::to_owned));
    let provider = parameters.choice("provider", &PROVIDERS);
    (tenant, provider.map(str::to_owned))
}

/// The sources, and the tokens that give access to them.
#[derive(Debug)]
pub struct Guarded {
    pub sources: Sources,
    pub tokens: SecretStore,
}

impl Guarded {
    /// # Errors
    /// All problems of the environment or of the tokens.
    pub async fn open(mut environment: Environment, aws: &Aws) -> anyhow::Result<Self> {
        let id = environment.text("REPORT_TOKENS_SECRET_ID");
        let sources = Sources::read(&mut environment, aws);
        environment.check()?;
        // A token signs nothing, so no scheme limits its form.
        let tokens = SecretStore::new(&aws.sdk_config(CallLimits::WEBHOOK), id, &[]);
        tokens.start().await?;
        Ok(Self { sources, tokens })
    }
}
