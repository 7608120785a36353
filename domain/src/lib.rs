//! What the system decides without I/O: from signed bytes to an event, its tasks, and the messages
//! that carry them.
//!
//! No function here waits, reads a clock or calls AWS. The crate links no client of AWS, so Cargo
//! holds this line. `webhooks` adds the tables and the queues, and passes these modules on under
//! the same names.
//!
//! The modules stand in the order in which an event meets them:
//!
//! - [`headers`]: a request's headers.
//! - [`verify`]: signatures: who sent these bytes, and when.
//! - [`provider`]: each provider's signature scheme and wire types, and how they become an event.
//! - [`problem`]: what is wrong with a body, all problems at once.
//! - [`identifier`]: the blanks that the ends of every identifier lose.
//! - [`product_name`]: the spellings of a product's name that mean one product.
//! - [`event`], [`money`]: the domain: what happened to which coupon; exact amounts.
//! - [`expiry`]: when a coupon expires, by all of its events.
//! - [`contents`]: whether two bodies of one event contradict each other.
//! - [`body`]: the compression of stored bodies.
//! - [`task`]: which tasks an event causes.
//! - [`record`]: the names of the records that tasks leave beneath an event.
//! - [`message`], [`waiting`]: the form of messages on queues.
//! - [`failure`]: failures of work on a message.
//! - [`fraud`]: findings about events.
//! - [`survey`]: a survey's link, its messages, its questions and its comment.
//! - [`environment`], [`per_tenant`]: a function's variables, and settings for each tenant.
//! - [`cell`], [`characters`], [`steering`]: texts in cells of CSV, in calls to AWS, on screens.

#![warn(clippy::missing_errors_doc, missing_docs)]

pub mod body;
pub mod cell;
pub mod characters;
pub mod contents;
pub mod environment;
pub mod event;
pub mod expiry;
pub mod failure;
pub mod fraud;
pub mod headers;
pub mod identifier;
pub mod message;
pub mod money;
pub mod per_tenant;
pub mod problem;
pub mod product_name;
pub mod provider;
pub mod record;
pub mod steering;
pub mod survey;
pub mod task;
pub mod verify;
pub mod waiting;
