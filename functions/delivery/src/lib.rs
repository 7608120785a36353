//! Brings a coupon to its customer: into the account, by mail, by WhatsApp, by text message; and a redemption of in-game
//! items to a game's own server.

mod account;
mod channel;
mod contact;
mod delivery;
mod enrolment;
mod game_server;
mod items;
mod members;
pub mod message;
mod ses;
mod sms;
mod time;
mod whatsapp;

pub use delivery::Delivery;
