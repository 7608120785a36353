//! Opens the file in which an emulator keeps its state.

use std::path::Path;

use anyhow::{Context, ensure};
use rusqlite::Connection;

/// The tables of one emulator.
pub(crate) struct Schema {
    /// Raised when the contents of the tables change.
    pub(crate) version: i64,
    /// Creates the missing tables.
    pub(crate) tables: &'static str,
    /// What a start without the file means: `with empty queues`.
    pub(crate) without: &'static str,
}

/// Opens the file, and creates its tables.
///
/// # Errors
///
/// Opening the file fails, or another version of the program wrote it.
pub(crate) fn open(path: &Path, schema: &Schema) -> anyhow::Result<Connection> {
    let connection =
        Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
    // A commit survives the death of the process at once, and that of the machine after the next
    // checkpoint.
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .context("setting the journal mode")?;
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .context("setting the synchronous mode")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    ensure!(
        version == 0 || version == schema.version,
        "{} is of version {version}, this program reads version {}: delete the file to start {}",
        path.display(),
        schema.version,
        schema.without
    );
    connection
        .execute_batch(schema.tables)
        .context("creating the tables")?;
    connection.pragma_update(None, "user_version", schema.version)?;
    Ok(connection)
}
