//! The settings of a function, and how it calls AWS.

use std::path::Path;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{IdentityCache, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{RetryConfig, TimeoutConfig};
use futures_util::FutureExt;
use futures_util::future::join_all;

pub use domain::environment::Environment;

use crate::connections::Connections;

/// How long a call to AWS may take. The calls that a function makes one after another stay inside
/// the function's timeout.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// The limit of one attempt.
    pub attempt: Duration,
    /// The limit of all attempts of one call, with the waits between them.
    pub call: Duration,
    /// The most attempts of one call; with 1, the SDK repeats nothing.
    pub attempts: u32,
}

impl CallLimits {
    /// The limits of a webhook function, which makes few calls one after another. It answers within
    /// the provider's 10 s, even if AWS is slow.
    pub const WEBHOOK: Self = Self {
        attempt: Duration::from_millis(900),
        call: Duration::from_millis(2000),
        attempts: 3,
    };
    /// The limits of a task function, which has 30 s for a batch and works on its messages at the
    /// same time.
    pub const TASK: Self = Self {
        attempt: Duration::from_millis(3000),
        call: Duration::from_millis(7000),
        attempts: 3,
    };
    /// The limits of an effect outside. The SDK must not repeat the effect, because the lease
    /// decides about a second attempt. The limit is long: if we stop waiting and the effect happens
    /// later, a mail is sent twice.
    pub const ONCE: Self = Self {
        attempt: Duration::from_secs(18),
        call: Duration::from_secs(18),
        attempts: 1,
    };

    /// The time limits as the SDK takes them.
    pub fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(1000))
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.call)
            .build()
    }

    /// The number of attempts as the SDK takes it.
    pub fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(Duration::from_millis(100))
    }
}

/// The region, the credentials and the connections for calls to AWS. Lambda sets them in the
/// environment. We read them there, and skip the SDK's default chain.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    credentials: Credentials,
    endpoint: Option<String>,
    http: SharedHttpClient,
    /// Connections that can be opened ahead, if calls go over our own connections.
    connections: Option<Connections>,
}

impl Aws {
    /// Reads the region, the credentials and the endpoint from the environment. Without an
    /// endpoint, each service has its own.
    pub fn read(environment: &mut Environment) -> Self {
        let connections = connections(environment);
        Self {
            region: environment.text("AWS_REGION"),
            credentials: Credentials::new(
                environment.text("AWS_ACCESS_KEY_ID"),
                environment.text("AWS_SECRET_ACCESS_KEY"),
                environment.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            endpoint: environment.optional("AWS_ENDPOINT_URL"),
            http: SharedHttpClient::new(connections.clone()),
            connections: Some(connections),
        }
    }

    /// The account of a system on this machine, whose endpoint takes any credentials.
    pub fn local(endpoint: impl Into<String>) -> Self {
        let connections = Connections::default();
        Self {
            region: "us-east-1".into(),
            credentials: Credentials::new("local", "local", None, None, "local"),
            endpoint: Some(endpoint.into()),
            http: SharedHttpClient::new(connections.clone()),
            connections: Some(connections),
        }
    }

    /// The same account, called over other connections.
    pub fn over(self, http: SharedHttpClient) -> Self {
        Self {
            http,
            connections: None,
            ..self
        }
    }

    /// Opens a connection to DynamoDB and one to SQS before the first event. If a connection cannot
    /// be opened, the first call opens it.
    pub async fn connect(&self) {
        let Some(connections) = &self.connections else {
            return;
        };
        let urls = match &self.endpoint {
            Some(url) => [Some(url.clone()), Some(url.clone())],
            None => self.urls(),
        };
        let opened = urls.iter().flatten().map(|url| connections.open(url));
        for error in join_all(opened).await.into_iter().filter_map(Result::err) {
            tracing::warn!("No connection yet: {error:#}");
        }
    }

    /// The URLs of DynamoDB and SQS in this region, by the SDK's own rules.
    fn urls(&self) -> [Option<String>; 2] {
        let dynamodb = || {
            use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let of_region = Params::builder().region(&self.region).build().ok()?;
            let resolver = DefaultResolver::new();
            let endpoint = resolver.resolve_endpoint(&of_region).now_or_never()?;
            Some(endpoint.ok()?.url().to_owned())
        };
        let sqs = || {
            use aws_sdk_sqs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let of_region = Params::builder().region(&self.region).build().ok()?;
            let resolver = DefaultResolver::new();
            let endpoint = resolver.resolve_endpoint(&of_region).now_or_never()?;
            Some(endpoint.ok()?.url().to_owned())
        };
        [dynamodb(), sqs()]
    }

    /// The HTTP client of the calls to AWS, for calls to other servers.
    pub fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// The configuration from which a service's client is made, with these limits.
    pub fn sdk_config(&self, limits: CallLimits) -> SdkConfig {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            .http_client(self.http.clone())
            // Both cost time in every call. The credentials do not change, and the limits end a
            // stalled call.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(limits.timeouts())
            .retry_config(limits.retries());
        config.set_endpoint_url(self.endpoint.clone());
        config.build()
    }
}

/// Connections that trust the certificate authorities in the file that `SSL_CERT_FILE` names, as
/// OpenSSL does. Without the variable, the connections trust Mozilla's authorities.
fn connections(environment: &mut Environment) -> Connections {
    let Some(file) = environment.optional("SSL_CERT_FILE") else {
        return Connections::default();
    };
    Connections::new(Some(Path::new(&file))).unwrap_or_else(|error| {
        environment.problem(format!("SSL_CERT_FILE is {file:?}: {error:#}"));
        Connections::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_found_in_every_partition() {
        let urls = |region: &str| {
            let aws = Aws {
                region: region.into(),
                ..Aws::local("")
            };
            aws.urls().map(Option::unwrap)
        };
        let expected =
            ["dynamodb", "sqs"].map(|it| format!("https://{it}.eu-west-1.amazonaws.com"));
        assert_eq!(urls("eu-west-1"), expected);
        let expected =
            ["dynamodb", "sqs"].map(|it| format!("https://{it}.cn-north-1.amazonaws.com.cn"));
        assert_eq!(urls("cn-north-1"), expected);
    }

    #[test]
    fn a_wrong_file_of_authorities_is_a_problem_of_the_environment() {
        let mut environment = Environment::of([("SSL_CERT_FILE", "/nowhere.pem")]);
        connections(&mut environment);
        let error = environment.check().unwrap_err().to_string();
        assert!(
            error.contains("SSL_CERT_FILE is \"/nowhere.pem\""),
            "{error}"
        );
    }
}
