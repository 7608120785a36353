//! The tables, channels and settings that delivery needs.

use channels::{Channels, Members};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::Book;
use webhooks::ledger::Ledger;
use webhooks::per_tenant::Zones;

use crate::game_server::GameServer;

/// Delivers the event of a message.
#[derive(Debug)]
pub struct Delivery {
    pub(crate) ledger: Ledger,
    pub(crate) members: Members,
    pub(crate) channels: Channels,
    pub(crate) book: Book,
    pub(crate) zones: Zones,
    pub(crate) game_server: Option<GameServer>,
    /// Whether the function records a redemption's items for its player.
    pub(crate) grants: bool,
}

impl Delivery {
    /// Reads the settings. A wrong variable becomes a problem of the environment.
    pub fn read(environment: &mut Environment, aws: &Aws) -> Self {
        let grants = match environment.text("GRANT").as_str() {
            "on" => true,
            "off" | "" => false,
            other => {
                environment.problem(format!("GRANT is {other:?}, it must be on or off"));
                false
            }
        };
        Self {
            ledger: Ledger::read(environment, aws, CallLimits::TASK),
            members: Members::read(environment, aws),
            channels: Channels::read(environment, aws),
            book: Book::read(environment, aws, CallLimits::TASK),
            zones: Zones::read_zones(environment),
            game_server: GameServer::read(environment, aws),
            grants,
        }
    }
}
