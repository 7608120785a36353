//! Decompresses the bodies of the events table for people and tests.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::body::{BODY, BODY_PARTS, decompress, is_part};
use serde_json::{Value, json};

/// A table's rows, with the bodies of webhooks as text and without the rows that store parts of
/// long bodies.
pub fn readable(rows: Vec<Value>) -> Vec<Value> {
    let stored = |row: &Value| STANDARD.decode(row[BODY].as_str()?).ok();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let (parts, mut rows): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| is_part(row["entry"].as_str().unwrap_or_default()));
    let parts: BTreeMap<_, _> = parts
        .iter()
        .filter_map(|part| Some(((text(part, "coupon"), text(part, "entry")), stored(part)?)))
        .collect();
    for row in &mut rows {
        let mut bytes = stored(row);
        if let Some(name) = row[BODY_PARTS].as_str() {
            let (coupon, entry) = (text(row, "coupon"), text(row, "entry"));
            let beginning = format!("{entry}/body/{name}/");
            let of_row = parts
                .iter()
                .filter(|((of, part), _)| *of == coupon && part.starts_with(&beginning));
            bytes = Some(of_row.flat_map(|(_, bytes)| bytes.clone()).collect());
        }
        if let Some(body) = bytes.and_then(|it| decompress(&it).ok()) {
            row[BODY] = json!(String::from_utf8_lossy(&body));
        }
    }
    rows
}
