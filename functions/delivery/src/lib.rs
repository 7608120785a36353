//! Brings a coupon to its member: into the account, by mail, by WhatsApp, by SMS. The function also
//! brings a redemption of in-game items to a game's own server.
//!
//! - [`delivery`]: which event needs which steps.
//! - [`setup`]: the tables, channels and settings.
//! - [`attempt`]: an event and its invocation, which every step needs.
//! - [`stored`] and [`account`]: the coupon in its member's account.
//! - [`redemption`]: a new coupon, on every channel. [`enrolment`]: the coupons that waited.
//! - [`reminder`]: a coupon that expires soon, on the best channel.
//! - [`grant`] and [`forward`]: in-game [`items`], for the player and for the game's server.

mod account;
mod attempt;
mod counted;
mod delivery;
mod enrolment;
mod forward;
mod forwarded;
mod game_server;
mod grant;
mod items;
mod redemption;
mod reminder;
mod setup;
mod stored;

pub use setup::Delivery;
