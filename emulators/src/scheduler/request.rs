//! EventBridge Scheduler on the wire: REST, where a part of each request is in its path and its
//! query.

use axum::http::{Method, Uri};
use serde_json::{Map, Value};

use percent_encoding::percent_decode_str;

use crate::template::arn;

const SCHEDULES: &str = "/schedules";

/// The operation of a method and a path; `None` if they belong to another service.
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let below = path.strip_prefix(SCHEDULES)?;
    let is_one = below.len() > 1 && below.starts_with('/') && !below[1..].contains('/');
    match *method {
        Method::GET if below.is_empty() || below == "/" => Some("ListSchedules"),
        Method::POST if is_one => Some("CreateSchedule"),
        Method::GET if is_one => Some("GetSchedule"),
        Method::PUT if is_one => Some("UpdateSchedule"),
        Method::DELETE if is_one => Some("DeleteSchedule"),
        _ => None,
    }
}

/// The body, completed with the values in the path and the query, by the operations' names for
/// them.
pub(crate) fn read(uri: &Uri, body: Value) -> Value {
    let mut request = match body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for pair in uri.query().unwrap_or_default().split('&') {
        // A name without a value is no parameter.
        let Some((name, value)) = form_urlencoded::parse(pair.as_bytes())
            .next()
            .filter(|_| pair.contains('='))
        else {
            continue;
        };
        let name = match &*name {
            "groupName" | "ScheduleGroup" => "GroupName".to_owned(),
            "clientToken" => "ClientToken".to_owned(),
            other => other.to_owned(),
        };
        request.insert(name, value.into());
    }
    let name = uri.path().strip_prefix(SCHEDULES);
    if let Some(name) = name.and_then(|rest| rest.strip_prefix('/')) {
        request.insert(
            "Name".to_owned(),
            percent_decode_str(name).decode_utf8_lossy().into(),
        );
    }
    request.into()
}

/// The ARN of a request's schedule, for permissions.
pub(crate) fn resource(request: &Value) -> String {
    let text = |name: &str, otherwise| {
        request
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or(otherwise)
    };
    let group = text("GroupName", super::DEFAULT_GROUP);
    let name = text("Name", "*");
    arn("scheduler", &format!("schedule/{group}/{name}"))
}
