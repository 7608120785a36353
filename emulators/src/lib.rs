//! AWS on the wire, as far as the system uses it: the services, the HTTP API, the Lambda runtime,
//! and the template that wires them. Nothing here knows of coupons.

pub mod clock;
pub mod dynamodb;
pub mod endpoint;
pub mod event_source;
pub mod faults;
pub mod game_server;
pub mod gateway;
mod kept_file;
pub mod lambda;
pub mod schedule;
pub mod scheduler;
pub mod secrets_manager;
pub mod sent;
pub mod service;
pub mod ses;
pub mod sns;
pub mod social_messaging;
pub mod sqs;
pub mod template;

/// An error as an AWS service sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// HTTP status.
    pub status: u16,
    /// The error's name, as in `__type`.
    pub code: String,
    pub message: String,
    /// The name that older SQS clients read, in `x-amzn-query-error`.
    pub query_code: Option<&'static str>,
}
