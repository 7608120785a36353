//! What DynamoDB refuses in a request before it looks at a table, and dynoxide accepts.

use dynoxide::Database;
use serde_json::{Map, Value, json};

use super::expression::{self, Kind};
use crate::AwsError;

/// In bytes, for a placeholder of a name or a value (developer guide, constraints).
const PLACEHOLDER_MAX: usize = 255;

/// Checks a request.
///
/// # Errors
///
/// A `ValidationException`. A request that is no JSON is dynoxide's to refuse.
pub(super) fn check(database: &Database, operation: &str, body: &[u8]) -> Result<(), AwsError> {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return Ok(());
    };
    let checked = match operation {
        "BatchGetItem" => {
            let tables = request["RequestItems"].as_object();
            let mut tables = tables.into_iter().flat_map(Map::values);
            tables.try_for_each(check_expressions)
        }
        "TransactGetItems" | "TransactWriteItems" => {
            let items = request["TransactItems"].as_array();
            let actions = items.into_iter().flatten().filter_map(Value::as_object);
            let mut actions = actions.flat_map(Map::values);
            actions.try_for_each(check_expressions)
        }
        "UpdateTimeToLive" => check_time_to_live(database, &request),
        _ => check_expressions(&request),
    };
    checked.map_err(|message| AwsError {
        status: 400,
        code: "ValidationException".into(),
        message,
        query_code: None,
    })
}

/// Checks the expressions of a request, or of one action of a transaction.
fn check_expressions(action: &Value) -> Result<(), String> {
    let placeholders = |member: &str| action.get(member).and_then(Value::as_object);
    for member in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        let keys = placeholders(member).into_iter().flat_map(Map::keys);
        if let Some(key) = keys.into_iter().find(|key| key.len() > PLACEHOLDER_MAX) {
            return Err(format!(
                "{member} contains invalid key: The expression attribute map contains a key that is \
                 too long; size of key: {}",
                key.len()
            ));
        }
    }
    let names = placeholders("ExpressionAttributeNames");
    let values = placeholders("ExpressionAttributeValues");
    Kind::ALL.into_iter().try_for_each(|kind| {
        let expression = action.get(kind.member()).and_then(Value::as_str);
        expression.map_or(Ok(()), |text| expression::check(kind, text, names, values))
    })
}

/// DynamoDB refuses to switch a time to live to the state that it has.
fn check_time_to_live(database: &Database, request: &Value) -> Result<(), String> {
    let wanted = &request["TimeToLiveSpecification"]["Enabled"];
    let table = json!({"TableName": request["TableName"]});
    let described = serde_json::from_value(table)
        .ok()
        .and_then(|table| database.describe_time_to_live(table).ok())
        .and_then(|described| serde_json::to_value(described).ok());
    // dynoxide refuses a table that is absent.
    let Some(described) = described else {
        return Ok(());
    };
    let is_enabled = described["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED";
    match (wanted.as_bool(), is_enabled) {
        (Some(true), true) => Err("TimeToLive is already enabled".to_owned()),
        (Some(false), false) => Err("TimeToLive is already disabled".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Database {
        let database = Database::memory().unwrap();
        let table = json!({
            "TableName": "events",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "coupon", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "coupon", "KeyType": "HASH"}],
        });
        let table = serde_json::from_value(table).unwrap();
        database.create_table(table).unwrap();
        database
    }

    #[track_caller]
    fn check_one(operation: &str, request: &Value, expected: Option<&str>) {
        let checked = check(&database(), operation, request.to_string().as_bytes());
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                let (status, code) = (error.status, error.code.as_str());
                assert_eq!((status, code), (400, "ValidationException"));
                assert!(error.message.contains(expected), "{}", error.message);
            }
            (checked, _) => panic!("{operation} {request}: {checked:?}"),
        }
    }

    #[test]
    fn every_expression_of_every_operation_is_checked() {
        let wrong = |member: &str| {
            json!({"TableName": "events", member: "NOT (#a = a)",
            "ExpressionAttributeNames": {"#a": "a"}})
        };
        let same = Some("first operand: [a]");
        for operation in ["PutItem", "UpdateItem", "DeleteItem"] {
            check_one(operation, &wrong("ConditionExpression"), same);
        }
        for operation in ["Query", "Scan"] {
            check_one(operation, &wrong("FilterExpression"), same);
        }
        check_one("Query", &wrong("KeyConditionExpression"), same);
        for action in ["Put", "Update", "Delete", "ConditionCheck"] {
            let good = json!({"Put": {"TableName": "events", "ConditionExpression": "a = b"}});
            let items = json!({"TransactItems": [good, {action: wrong("ConditionExpression")}]});
            check_one("TransactWriteItems", &items, same);
        }
        check_one(
            "PutItem",
            &json!({"ConditionExpression": 7, "ExpressionAttributeNames": 7}),
            None,
        );
        check_one("PutItem", &json!([]), None);
        assert_eq!(check(&database(), "PutItem", b"{"), Ok(()));
    }

    #[test]
    fn a_placeholder_has_255_bytes_at_most() {
        let with = |member: &str, sign: char, length: usize| {
            let placeholder = format!("{sign}{}", "x".repeat(length - 1));
            json!({"TableName": "events", member: {placeholder: "a"}})
        };
        let expected = Some("size of key: 256");
        for (member, sign) in [
            ("ExpressionAttributeNames", '#'),
            ("ExpressionAttributeValues", ':'),
        ] {
            check_one("UpdateItem", &with(member, sign, 255), None);
            check_one("UpdateItem", &with(member, sign, 256), expected);
        }
        let long = with("ExpressionAttributeNames", '#', 256);
        check_one(
            "BatchGetItem",
            &json!({"RequestItems": {"events": long}}),
            expected,
        );
        check_one(
            "TransactGetItems",
            &json!({"TransactItems": [{"Get": long}]}),
            expected,
        );
    }

    #[test]
    fn a_time_to_live_is_switched_to_another_state_only() {
        let database = database();
        let switch = |enabled: bool| {
            let request = json!({
                "TableName": "events",
                "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": enabled},
            });
            let checked = check(
                &database,
                "UpdateTimeToLive",
                request.to_string().as_bytes(),
            );
            let request = serde_json::from_value(request).unwrap();
            checked.map_err(|error| error.message)?;
            database
                .update_time_to_live(request)
                .map_err(|error| error.to_string())
        };
        let disabled = "TimeToLive is already disabled".to_owned();
        assert_eq!(switch(false).unwrap_err(), disabled);
        switch(true).unwrap();
        let enabled = "TimeToLive is already enabled".to_owned();
        assert_eq!(switch(true).unwrap_err(), enabled);
        switch(false).unwrap();
        check_one("UpdateTimeToLive", &json!({"TableName": "absent"}), None);
    }
}
