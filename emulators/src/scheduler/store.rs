//! Keeps schedules in a file, each change before its answer.

use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::schedule::{Key, Schedule};
use crate::kept_file::{self, Schema};

const SCHEMA: Schema = Schema {
    version: 1,
    tables: "CREATE TABLE IF NOT EXISTS schedules (
                 group_name TEXT NOT NULL, name TEXT NOT NULL, schedule TEXT NOT NULL,
                 PRIMARY KEY (group_name, name));",
    without: "without schedules",
};

#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
}

impl Store {
    pub(super) fn open(path: &Path) -> anyhow::Result<Store> {
        let connection = kept_file::open(path, &SCHEMA)?;
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
