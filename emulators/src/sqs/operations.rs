//! The operations of the SQS JSON protocol: reads a request, changes the queues, and answers.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::contents::{Attribute, AttributeValue, Contents, Draft, md5_of_attributes, md5_of_text};
use super::move_task::{MoveStatus, MoveTask};
use super::receive::VISIBILITY_TIMEOUT_REASON;
use super::request::Request;
use super::state::{Change, State};
use super::{ACCOUNT, MAXIMUM_MESSAGE_BYTES, errors, queue_arn};
use crate::AwsError;

const MOST_ENTRIES: usize = 10;

/// Performs any operation except `ReceiveMessage`, which can take time.
pub(super) fn run(
    state: &mut State,
    operation: &str,
    body: &Value,
    base_url: &str,
    now_ms: i64,
) -> Result<Value, AwsError> {
    let request = Request::new(body)?;
    match operation {
        "CreateQueue" => create_queue(state, request, base_url, now_ms),
        "DeleteQueue" => state.delete_queue(request.queue()?).map(|()| json!({})),
        "ListQueues" => list_queues(state, request, base_url),
        "GetQueueUrl" => get_queue_url(state, request, base_url),
        "GetQueueAttributes" => get_queue_attributes(state, request),
        "SetQueueAttributes" => state
            .set_attributes(request.queue()?, &request.text_map("Attributes")?, now_ms)
            .map(|()| json!({})),
        "PurgeQueue" => state.purge(request.queue()?, now_ms).map(|()| json!({})),
        "ListQueueTags" => Ok(json!({"Tags": state.queue(request.queue()?)?.settings.tags})),
        "TagQueue" => {
            let tags = request.text_map("Tags")?;
            change_tags(state, request, |existing| existing.extend(tags))
        }
        "UntagQueue" => {
            let keys = request.texts("TagKeys")?;
            change_tags(state, request, |existing| {
                existing.retain(|key, _| !keys.contains(&key.as_str()))
            })
        }
        "SendMessage" => send_message(state, request, now_ms),
        "SendMessageBatch" => send_batch(state, request, now_ms),
        "DeleteMessage" => state
            .delete(request.queue()?, request.required_text("ReceiptHandle")?)
            .map(|()| json!({})),
        "DeleteMessageBatch" => batch(
            state,
            request,
            "DeleteMessageBatchRequestEntry",
            |state, queue, entry| {
                state
                    .delete(queue, entry.required_text("ReceiptHandle")?)
                    .map(|()| Map::new())
            },
        ),
        "ChangeMessageVisibility" => {
            change_visibility(state, request.queue()?, request, now_ms).map(Value::Object)
        }
        "ChangeMessageVisibilityBatch" => batch(
            state,
            request,
            "ChangeMessageVisibilityBatchRequestEntry",
            |state, queue, entry| change_visibility(state, queue, entry, now_ms),
        ),
        "ListDeadLetterSourceQueues" => list_dead_letter_sources(state, request, base_url),
        "StartMessageMoveTask" => start_move_task(state, request, now_ms),
        "ListMessageMoveTasks" => list_move_tasks(state, request),
        "CancelMessageMoveTask" => cancel_move_task(state, request),
        _ => Err(errors::unknown_operation(operation)),
    }
}

fn create_queue(
    state: &mut State,
    request: Request,
    base_url: &str,
    now_ms: i64,
) -> Result<Value, AwsError> {
    let name = request.required_text("QueueName")?;
    let is_valid = name.len() <= 80
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if name.ends_with(".fifo") {
        return Err(errors::unsupported(
            "FIFO queues are not emulated: use a standard queue.",
        ));
    }
    if !is_valid {
        return Err(errors::invalid_parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    state.create_queue(
        name,
        &request.text_map("Attributes")?,
        request.text_map("tags")?,
        now_ms,
    )?;
    Ok(json!({"QueueUrl": queue_url(base_url, name)}))
}

fn queue_url(base_url: &str, name: &str) -> String {
    format!("{base_url}/{ACCOUNT}/{name}")
}

fn list_queues(state: &State, request: Request, base_url: &str) -> Result<Value, AwsError> {
    let prefix = request.text("QueueNamePrefix")?.unwrap_or_default();
    page(
        "QueueUrls",
        state.queues.keys().filter(|name| name.starts_with(prefix)),
        request,
        base_url,
    )
}

fn list_dead_letter_sources(
    state: &State,
    request: Request,
    base_url: &str,
) -> Result<Value, AwsError> {
    let name = request.queue()?;
    state.queue(name)?;
    let mut answer = page(
        "queueUrls",
        state.dead_letter_sources(name),
        request,
        base_url,
    )?;
    // AWS always answers with this list, even if it is empty.
    if answer.get("queueUrls").is_none() {
        answer["queueUrls"] = json!([]);
    }
    Ok(answer)
}

/// The URLs of one page of queues, by name. The token is the last name of the page before.
fn page<'a>(
    list: &str,
    names: impl Iterator<Item = &'a String>,
    request: Request,
    base_url: &str,
) -> Result<Value, AwsError> {
    let max = request.number(
        "MaxResults",
        1..=1000,
        "Must be between 1 and 1000, if provided.",
    )?;
    let size = max.unwrap_or(1000) as usize;
    let after = request.text("NextToken")?.unwrap_or_default();
    let mut names = names.filter(|name| name.as_str() > after).peekable();
    let page: Vec<&String> = names.by_ref().take(size).collect();
    let mut answer = Map::new();
    if let (Some(last), Some(_), Some(_)) = (page.last(), names.peek(), max) {
        answer.insert("NextToken".to_owned(), json!(last));
    }
    if !page.is_empty() {
        let urls: Vec<String> = page
            .into_iter()
            .map(|name| queue_url(base_url, name))
            .collect();
        answer.insert(list.to_owned(), json!(urls));
    }
    Ok(Value::Object(answer))
}

fn get_queue_url(state: &State, request: Request, base_url: &str) -> Result<Value, AwsError> {
    let name = request.required_text("QueueName")?;
    state.queue(name)?;
    Ok(json!({"QueueUrl": queue_url(base_url, name)}))
}

fn get_queue_attributes(state: &State, request: Request) -> Result<Value, AwsError> {
    let name = request.queue()?;
    let queue = state.queue(name)?;
    let counts = queue.messages.counts();
    let settings = &queue.settings;
    let mut attributes = settings.attributes.all();
    attributes.extend(
        [
            ("QueueArn", queue_arn(name)),
            ("CreatedTimestamp", (settings.created_ms / 1000).to_string()),
            (
                "LastModifiedTimestamp",
                (settings.modified_ms / 1000).to_string(),
            ),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                counts.in_flight.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed",
                counts.delayed.to_string(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let asked = request.texts("AttributeNames")?;
    let known = [
        "Policy",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
    ];
    for name in &asked {
        if *name != "All" && !attributes.contains_key(*name) && !known.contains(name) {
            return Err(errors::invalid_attribute_name(name));
        }
    }
    if !asked.contains(&"All") {
        attributes.retain(|name, _| asked.contains(&name.as_str()));
    }
    // SQS writes no map without entries.
    Ok(match attributes.is_empty() {
        true => json!({}),
        false => json!({"Attributes": attributes}),
    })
}

fn change_tags(
    state: &mut State,
    request: Request,
    change: impl FnOnce(&mut BTreeMap<String, String>),
) -> Result<Value, AwsError> {
    let name = request.queue()?;
    change(&mut state.queue_mut(name)?.settings.tags);
    state.changed(Change::Queue(name.to_owned()));
    Ok(json!({}))
}

fn send_message(state: &mut State, request: Request, now_ms: i64) -> Result<Value, AwsError> {
    let queue = request.queue()?;
    state.queue(queue)?;
    let contents = state.send(queue, request.draft()?, now_ms)?;
    Ok(Value::Object(sent(&contents)))
}

fn sent(contents: &Contents) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), json!(contents.id));
    answer.insert(
        "MD5OfMessageBody".to_owned(),
        json!(md5_of_text(&contents.body)),
    );
    if !contents.attributes.is_empty() {
        answer.insert(
            "MD5OfMessageAttributes".to_owned(),
            json!(md5_of_attributes(&contents.attributes)),
        );
    }
    if let Some(header) = &contents.trace_header {
        let value = AttributeValue::Text(header.clone());
        let attribute = Attribute {
            data_type: "String".to_owned(),
            value,
        };
        let digest = md5_of_attributes([(&"AWSTraceHeader".to_owned(), &attribute)]);
        answer.insert("MD5OfMessageSystemAttributes".to_owned(), json!(digest));
    }
    answer
}

fn send_batch(state: &mut State, request: Request, now_ms: i64) -> Result<Value, AwsError> {
    let drafts = entries(request, "SendMessageBatchRequestEntry")?;
    let drafts: Vec<Result<Draft, AwsError>> =
        drafts.into_iter().map(|(_, entry)| entry.draft()).collect();
    let bytes: usize = drafts.iter().flatten().map(Draft::bytes).sum();
    if bytes > MAXIMUM_MESSAGE_BYTES {
        return Err(errors::batch_too_long(MAXIMUM_MESSAGE_BYTES, bytes));
    }
    let mut drafts = drafts.into_iter();
    batch(
        state,
        request,
        "SendMessageBatchRequestEntry",
        |state, queue, _| {
            let draft = drafts.next().expect("there is a draft for each entry")?;
            let contents = state.send(queue, draft, now_ms)?;
            Ok(sent(&contents))
        },
    )
}

/// Processes each entry of a batch separately: one failure does not stop the others.
fn batch(
    state: &mut State,
    request: Request,
    entry_type: &str,
    mut act: impl FnMut(&mut State, &str, Request) -> Result<Map<String, Value>, AwsError>,
) -> Result<Value, AwsError> {
    let queue = request.queue()?;
    state.queue(queue)?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries(request, entry_type)? {
        match act(state, queue, entry) {
            Ok(mut fields) => {
                fields.insert("Id".to_owned(), json!(id));
                successful.push(Value::Object(fields));
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "Code": error.query_code.unwrap_or(&error.code),
                "Message": error.message,
                "SenderFault": error.status < 500,
            })),
        }
    }
    let lists = [("Successful", successful), ("Failed", failed)];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    Ok(Value::Object(
        lists
            .map(|(name, list)| (name.to_owned(), Value::Array(list)))
            .collect(),
    ))
}

/// The entries of a batch with their ids, which must be valid and distinct.
fn entries<'a>(
    request: Request<'a>,
    entry_type: &str,
) -> Result<Vec<(&'a str, Request<'a>)>, AwsError> {
    let list = request.list("Entries")?;
    if list.is_empty() {
        return Err(errors::empty_batch(entry_type));
    }
    if list.len() > MOST_ENTRIES {
        return Err(errors::too_many_entries(list.len()));
    }
    let mut seen = BTreeSet::new();
    let mut entries = Vec::with_capacity(list.len());
    for entry in list {
        let entry =
            Request::new(entry).map_err(|_| errors::mistyped("Entries", "a list of objects"))?;
        let id = entry.required_text("Id")?;
        if id.len() > 80
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        {
            return Err(errors::invalid_batch_id());
        }
        if !seen.insert(id) {
            return Err(errors::batch_ids_not_distinct(id));
        }
        entries.push((id, entry));
    }
    Ok(entries)
}

fn change_visibility(
    state: &mut State,
    queue: &str,
    request: Request,
    now_ms: i64,
) -> Result<Map<String, Value>, AwsError> {
    let handle = request.required_text("ReceiptHandle")?;
    let timeout_s = request.number("VisibilityTimeout", 0..=43_200, VISIBILITY_TIMEOUT_REASON)?;
    let timeout_s = timeout_s.ok_or_else(|| errors::missing("VisibilityTimeout"))?;
    state
        .change_visibility(queue, handle, timeout_s, now_ms)
        .map(|()| Map::new())
}

fn start_move_task(state: &mut State, request: Request, now_ms: i64) -> Result<Value, AwsError> {
    let rate = request.number(
        "MaxNumberOfMessagesPerSecond",
        1..=500,
        "Must be between 1 and 500, if provided.",
    )?;
    let source_arn = request.required_text("SourceArn")?;
    let task = state.start_move_task(source_arn, request.text("DestinationArn")?, rate, now_ms)?;
    Ok(json!({"TaskHandle": task_handle(&task)}))
}

fn task_handle(task: &MoveTask) -> String {
    STANDARD.encode(json!({"taskId": task.id, "sourceArn": queue_arn(&task.source)}).to_string())
}

fn list_move_tasks(state: &State, request: Request) -> Result<Value, AwsError> {
    let max = request
        .number(
            "MaxResults",
            1..=10,
            "Must be between 1 and 10, if provided.",
        )?
        .unwrap_or(1);
    let tasks = state.move_tasks(request.required_text("SourceArn")?)?;
    Ok(json!({"Results": tasks.take(max as usize).map(described).collect::<Vec<Value>>()}))
}

fn described(task: &MoveTask) -> Value {
    let mut result = json!({
        "SourceArn": queue_arn(&task.source),
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    });
    result["Status"] = match &task.status {
        MoveStatus::Running => {
            result["TaskHandle"] = json!(task_handle(task));
            json!("RUNNING")
        }
        MoveStatus::Completed => json!("COMPLETED"),
        MoveStatus::Cancelled => json!("CANCELLED"),
        MoveStatus::Failed(reason) => {
            result["FailureReason"] = json!(reason);
            json!("FAILED")
        }
    };
    if let Some(destination) = &task.destination {
        result["DestinationArn"] = json!(queue_arn(destination));
    }
    if let Some(rate) = task.messages_per_s {
        result["MaxNumberOfMessagesPerSecond"] = json!(rate);
    }
    result
}

fn cancel_move_task(state: &mut State, request: Request) -> Result<Value, AwsError> {
    let handle = request.required_text("TaskHandle")?;
    let decoded = STANDARD
        .decode(handle)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let id = decoded
        .as_ref()
        .and_then(|handle| handle["taskId"].as_str());
    let id = id.ok_or_else(|| errors::invalid_value(handle, "TaskHandle", "Not a task handle."))?;
    Ok(json!({"ApproximateNumberOfMessagesMoved": state.cancel_move_task(id)?}))
}
