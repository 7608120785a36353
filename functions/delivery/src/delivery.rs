//! Which event needs which steps. Each channel has a record of its own, so a failure or a repeat on
//! one never touches another.

use channels::all_of;
use webhooks::event::{Fact, Redemption};
use webhooks::invocation::Invocation;
use webhooks::task::Message;
use webhooks::worker::{Failure, Work};

use crate::attempt::{Attempt, FORWARD, GRANT, REMINDER};
use crate::enrolment::Enrolment;
use crate::forward::Forward;
use crate::grant::Grant;
use crate::redemption::Redeemed;
use crate::reminder::Reminder;
use crate::setup::Delivery;
use crate::stored::Stored;

impl Work for Delivery {
    type Message = Message<'static>;

    async fn start(&self) -> anyhow::Result<()> {
        match &self.game_server {
            Some(server) => server.start().await,
            None => Ok(()),
        }
    }

    async fn work(&self, message: Message<'static>, invocation: Invocation) -> Result<(), Failure> {
        let attempt = Attempt {
            delivery: self,
            event: message.event.as_ref(),
            invocation,
        };
        match &attempt.event.fact {
            Fact::Redeemed(redemption) if redemption.reward.items.is_empty() => {
                let redeemed = Redeemed {
                    attempt,
                    redemption,
                };
                redeemed.deliver(&message).await
            }
            Fact::Redeemed(redemption) => bring_items(attempt, &message, redemption).await,
            Fact::Expiring(notice) => {
                Stored::with(attempt, &[REMINDER]).store().await?;
                Reminder { attempt, notice }.remind().await
            }
            Fact::Enrolled => Enrolment { attempt }.enrol().await,
            Fact::Used(_) | Fact::Cancelled(_) | Fact::Expired(_) => {
                Ok(Stored::with(attempt, &[]).store().await?)
            }
        }
    }
}

/// Brings in-game items: records them for the player, and notifies the game's server, if the
/// settings ask for it.
async fn bring_items(
    attempt: Attempt<'_>,
    message: &Message<'_>,
    redemption: &Redemption,
) -> Result<(), Failure> {
    let grant = async {
        match message.asks_for(GRANT) {
            true => {
                Grant {
                    attempt,
                    redemption,
                }
                .grant()
                .await
            }
            false => Ok(()),
        }
    };
    let forward = async {
        match &attempt.delivery.game_server {
            Some(server) if message.asks_for(FORWARD) => {
                Forward {
                    attempt,
                    redemption,
                    server,
                }
                .forward()
                .await
            }
            _ => Ok(()),
        }
    };
    let (granted, notified) = tokio::join!(grant, forward);
    all_of([granted, notified])
}
