//! The receiver of coupon webhooks: verifies each one, records it once, answers at once, and does
//! slow work behind queues.
//!
//! What needs no I/O is in the crate `domain`, and the reading of the gateway's event in `request`.
//! This crate passes their modules on under the same names.
//!
//! The modules stand in the order in which an event meets them:
//!
//! - [`request`]: headers and bytes that API Gateway hands to a function.
//! - [`ledger`]: the events table: one conditional write for an event, leases and commits for a
//!   task's effects.
//! - [`dispatch`]: one message to the `work` queue, and from there to each task's queue.
//! - [`receiver`]: records and dispatches, as one step that is safe to repeat.
//! - [`webhook`]: the pipeline of a webhook function, and its answers.
//! - [`worker`]: the loop of a task function over a batch of messages.
//! - [`stock`]: the quantities of each product.
//! - [`survey`]: a survey's link, its questions and its answer.
//! - [`figures`]: the counters of each tenant and day.
//! - [`audit`]: compares the figures with the recorded events once a day.
//! - [`life`]: a coupon's whole life, as the events table holds it.
//! - [`dead_letter`]: the event and the reason of a message that was given up.
//! - [`alerts`]: alerts to operators.
//! - [`retry`], [`outbox`]: the safety nets for an outage of DynamoDB, and of SQS.
//! - [`row`]: rows of the tables, and reading and writing their fields.
//! - [`config`], [`connections`], [`secrets`], [`clock`], [`invocation`], [`telemetry`]: a
//!   function's settings, its connections to AWS, its secrets, its time, and its logs and metrics.

#![warn(clippy::missing_errors_doc, missing_docs)]

pub use ::request;
pub use domain::{
    cell, characters, event, expiry, failure, fraud, identifier, message, money, per_tenant,
    problem, product_name, provider, record, steering, task, verify,
};

pub mod alerts;
pub mod audit;
pub mod clock;
pub mod config;
pub mod connections;
pub mod dead_letter;
pub mod dispatch;
pub mod figures;
pub mod invocation;
pub mod ledger;
pub mod life;
pub mod outbox;
pub mod receiver;
pub mod retry;
pub mod row;
pub mod secrets;
pub mod stock;
pub mod survey;
pub mod telemetry;
pub mod webhook;
pub mod worker;
