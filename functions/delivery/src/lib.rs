//! Brings a coupon to its customer: into the account, by mail, by WhatsApp, by text message; and a redemption of in-game
//! items to a game's own server.

mod account;
mod channel;
mod contact;
mod delivery;
mod email_address;
mod enrolment;
mod forwarded;
mod game_server;
mod items;
mod members;
pub mod message;
pub mod phone;
mod ses;
mod sms;
mod time;
mod whatsapp;

pub use delivery::Delivery;
