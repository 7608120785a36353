//! Brings a coupon to its customer: into the account, by mail, by WhatsApp, by text message; and a redemption of in-game
//! items to a game's own server.

mod account;
mod delivery;
mod enrolment;
mod forwarded;
mod game_server;
mod granted;
mod items;

pub use delivery::Delivery;
