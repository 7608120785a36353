//! Writes a command's output to standard output, as text that cannot steer a terminal, or as JSON.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use webhooks::steering::{escaped, steers};

/// Text for a terminal: one line of JSON becomes several, and control characters vanish.
pub(crate) fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_end();
    let text = match serde_json::from_str::<Value>(text) {
        Ok(value) if !text.contains('\n') => format!("{value:#}"),
        _ => text.to_owned(),
    };
    harmless(&text)
}

/// Text without the characters that could steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(
        |it: char| steers(it) && !matches!(it, '\n' | '\t'),
        "\u{fffd}",
    )
}

pub(crate) fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    say(&format!("{}\n", escaped(&text)))
}

/// Writes to standard output. A reader that closes early, such as `head`, is no error.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(readable(b"a\x1b[2Jb\tc\n\n"), "a\u{fffd}[2Jb\tc");
        assert_eq!(
            harmless("a\u{202E}b\u{9B}c\u{2066}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
        assert_eq!(readable(br#"{"a":1}"#), "{\n  \"a\": 1\n}");
        assert_eq!(readable(b"{\n\"a\": 35.00}"), "{\n\"a\": 35.00}");
    }
}
