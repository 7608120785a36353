//! The whole system on one machine: everything that `template.yaml` wires on AWS, on loopback, with
//! the same binaries that are deployed.

pub mod aws;
pub mod binaries;
pub mod bodies;
pub mod clock;
mod controls;
mod drafts;
pub mod dynamodb;
pub mod event_source;
pub mod examples;
pub mod faults;
pub mod game_server;
pub mod gateway;
mod kept_clock;
mod kept_file;
pub mod lambda;
mod page;
mod parameters;
mod running;
mod schedule;
pub mod scheduler;
pub mod secrets_manager;
pub mod sent;
pub mod service;
pub mod ses;
pub mod sns;
pub mod social_messaging;
pub mod sqs;
pub mod system;
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
