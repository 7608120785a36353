//! Keeps queues and messages in a file, each change before its answer.

use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{Change, State};
use crate::kept_file::{self, Schema};

const SCHEMA: Schema = Schema {
    version: 1,
    tables: "CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY, settings TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS messages (
                 sequence INTEGER PRIMARY KEY, queue TEXT NOT NULL, contents TEXT NOT NULL,
                 delivery TEXT NOT NULL);
             CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue);
             CREATE TABLE IF NOT EXISTS move_tasks (position INTEGER PRIMARY KEY, task TEXT NOT NULL);",
    without: "with empty queues",
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

    pub(super) fn load(&self, now_ms: i64) -> anyhow::Result<State> {
        let queues = self.rows("SELECT name, settings FROM queues", |row| {
            Ok((row.get(0)?, json(row, 1)?))
        })?;
        let messages = self.rows(
            "SELECT sequence, queue, contents, delivery FROM messages",
            |row| Ok((row.get(0)?, row.get(1)?, json(row, 2)?, json(row, 3)?)),
        )?;
        let tasks = self.rows("SELECT task FROM move_tasks ORDER BY position", |row| {
            json(row, 0)
        })?;
        Ok(State::restore(queues, messages, tasks, now_ms))
    }

    fn rows<T>(
        &self,
        query: &str,
        read: impl Fn(&rusqlite::Row) -> rusqlite::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let mut statement = self.connection.prepare(query)?;
        let rows = statement
            .query_map([], |row| read(row))?
            .collect::<Result<_, _>>();
        rows.with_context(|| format!("reading the queues ({query})"))
    }

    /// Writes the changes as one transaction.
    pub(super) fn write(&mut self, changes: &[Change], state: &State) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            write_change(&transaction, change, state)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn json<T: DeserializeOwned>(row: &rusqlite::Row, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

fn write_change(transaction: &Transaction, change: &Change, state: &State) -> anyhow::Result<()> {
    let run = |statement: &str, parameters: &[&dyn rusqlite::ToSql]| -> anyhow::Result<()> {
        transaction.prepare_cached(statement)?.execute(parameters)?;
        Ok(())
    };
    match change {
        Change::Queue(name) => {
            if let Some(queue) = state.queues.get(name) {
                run(
                    "REPLACE INTO queues (name, settings) VALUES (?, ?)",
                    params![name, text(&queue.settings)?],
                )?;
            }
        }
        Change::QueueDeleted(name) => {
            run("DELETE FROM queues WHERE name = ?", params![name])?;
            run("DELETE FROM messages WHERE queue = ?", params![name])?;
        }
        Change::Purged(name) => run("DELETE FROM messages WHERE queue = ?", params![name])?,
        Change::Sent(queue, sequence) => {
            if let Some(message) = state
                .queues
                .get(queue)
                .and_then(|queue| queue.messages.get(*sequence))
            {
                run(
                    "REPLACE INTO messages (sequence, queue, contents, delivery) VALUES (?, ?, ?, \
                     ?)",
                    params![
                        sequence,
                        queue,
                        text(&*message.contents)?,
                        text(&message.delivery)?
                    ],
                )?;
            }
        }
        Change::Delivery(queue, sequence) => {
            if let Some(message) = state
                .queues
                .get(queue)
                .and_then(|queue| queue.messages.get(*sequence))
            {
                run(
                    "UPDATE messages SET queue = ?, delivery = ? WHERE sequence = ?",
                    params![queue, text(&message.delivery)?, sequence],
                )?;
            }
        }
        Change::Gone(sequence) => {
            run("DELETE FROM messages WHERE sequence = ?", params![sequence])?
        }
        Change::Tasks => {
            run("DELETE FROM move_tasks", params![])?;
            for task in &state.tasks {
                run(
                    "INSERT INTO move_tasks (task) VALUES (?)",
                    params![text(task)?],
                )?;
            }
        }
    }
    Ok(())
}

fn text(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}
