//! The receiver of coupon webhooks: verifies, records once, answers at once, and hands the slow work to queues.
//!
//! The modules stand in the order in which an event meets them:
//!
//! - [`request`]: what API Gateway hands to a function.
//! - [`verify`]: who sent these bytes, and when.
//! - [`provider`]: each provider's signature scheme and wire types, and how they become an event.
//! - [`identifier`]: what is cut off the ends of every identifier.
//! - [`event`]: the domain: what happened to which coupon.
//! - [`task`]: which tasks an event causes.
//! - [`ledger`]: the events table: one conditional write for an event, a lease for a task's effect.
//! - [`dispatch`]: one message to the `work` queue, and from there to each task's queue.
//! - [`receiver`]: both, as one step that is safe to repeat.
//! - [`webhook`]: the pipeline of a webhook function, and its answers.
//! - [`worker`]: the loop of a task function over a batch of messages.
//! - [`stock`]: what there is of each product, for the inventory and for people.
//! - [`survey`]: the link that a member gets, what was asked, and what was answered.
//! - [`fraud`]: what was found out about events, for the fraud task and for people.
//! - [`life`]: a coupon's whole life, as the events table has it.
//! - [`alerts`]: how those who run this are told.
//! - [`retry`], [`outbox`]: the safety nets for an outage of DynamoDB, and of SQS.
//! - [`cell`]: texts in cells of CSV.
//! - [`characters`]: what AWS takes in a text.
//! - [`config`], [`connections`], [`secrets`], [`invocation`], [`telemetry`]: what a function reads at start, how it
//!   reaches AWS, the time it has, and what it tells.

pub mod alerts;
pub mod cell;
pub mod characters;
pub mod config;
pub mod connections;
pub mod dispatch;
pub mod event;
pub mod expiry;
pub mod figures;
pub mod fraud;
pub mod identifier;
pub mod invocation;
pub mod ledger;
pub mod life;
pub mod money;
pub mod outbox;
pub mod per_tenant;
pub mod provider;
pub mod receiver;
pub mod request;
pub mod retry;
pub mod secrets;
pub mod steering;
pub mod stock;
pub mod survey;
pub mod task;
pub mod telemetry;
pub mod verify;
pub mod webhook;
pub mod worker;
