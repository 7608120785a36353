//! Asks a member, some hours after the use of a coupon, how the use was. Each use gets one survey.
//!
//! - [`surveys`]: schedules the survey of a use, and sends a due survey.
//! - [`timing`]: when a survey is due, outside the tenant's quiet hours.
//! - [`scheduler`]: one-time schedules of EventBridge Scheduler.
//! - [`planned`]: the record of a use, which forbids a second schedule.
//! - [`asking`]: a survey that is due, on one channel. [`decision`]: whether it goes out at all.
//! - [`bad_answer`]: the alert of a bad answer.
//! - [`settings`]: the parameters. [`setup`]: the tables and channels.

mod asking;
mod bad_answer;
mod decision;
mod planned;
mod scheduler;
mod settings;
mod setup;
mod surveys;
mod timing;

pub use setup::Surveys;
