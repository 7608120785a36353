//! A task function that panics over one message and processes all others. `tests/built` runs it as
//! deployed.

use webhooks::invocation::Invocation;
use webhooks::task::Unreadable;
use webhooks::worker::{self, Failure, QueueMessage, Work};

struct Panicking;

struct Text(String);

impl QueueMessage for Text {
    fn read(body: &str) -> Result<Self, Unreadable> {
        Ok(Self(body.to_owned()))
    }

    fn key(&self) -> String {
        self.0.clone()
    }
}

impl Work for Panicking {
    type Message = Text;

    async fn work(&self, message: Text, _: Invocation) -> Result<(), Failure> {
        assert_ne!(message.0, "panic", "this message makes the function panic");
        println!("processed {}", message.0);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    worker::run("panicking", |_, _| Panicking).await
}
