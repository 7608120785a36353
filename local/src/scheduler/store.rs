//! Keeps schedules in a file, each change before its answer.

use std::path::Path;

use anyhow::{Context, ensure};
use rusqlite::{Connection, params};

use super::schedule::{Key, Schedule};

/// Raised when the JSON in the table changes; a file of another version is refused.
const VERSION: i64 = 1;

#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
}

impl Store {
    pub(super) fn open(path: &Path) -> anyhow::Result<Store> {
        let connection =
            Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
        // A commit survives the death of the process at once, and that of the machine after the
        // next checkpoint.
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .context("setting the journal mode")?;
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .context("setting the synchronous mode")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        ensure!(
            version == 0 || version == VERSION,
            "{} is of version {version}, this program reads version {VERSION}: delete the file to \
             start without schedules",
            path.display()
        );
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS schedules (
                     group_name TEXT NOT NULL, name TEXT NOT NULL, schedule TEXT NOT NULL,
                     PRIMARY KEY (group_name, name));",
            )
            .context("creating the table")?;
        connection.pragma_update(None, "user_version", VERSION)?;
        Ok(Store { connection })
    }

    pub(super) fn load(&self) -> anyhow::Result<Vec<Schedule>> {
        let mut statement = self.connection.prepare("SELECT schedule FROM schedules")?;
        let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
        let read = texts.map(|text| Ok(serde_json::from_str(&text?)?));
        let read: anyhow::Result<_> = read.collect();
        read.context("reading the schedules")
    }

    pub(super) fn write(&self, schedule: &Schedule) -> anyhow::Result<()> {
        let Key { group, name } = &schedule.key;
        let text = serde_json::to_string(schedule)?;
        let mut statement = self.connection.prepare_cached(
            "REPLACE INTO schedules (group_name, name, schedule) VALUES (?, ?, ?)",
        )?;
        statement.execute(params![group, name, text])?;
        Ok(())
    }

    pub(super) fn delete(&self, key: &Key) -> anyhow::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM schedules WHERE group_name = ? AND name = ?")?;
        statement.execute(params![key.group, key.name])?;
        Ok(())
    }
}
