//! SQS's errors, in the words of SQS.

use crate::AwsError;

fn sender(code: &str, query_code: Option<&'static str>, message: impl Into<String>) -> AwsError {
    AwsError {
        status: 400,
        code: code.to_owned(),
        message: message.into(),
        query_code,
    }
}

pub(super) fn unknown_operation(operation: &str) -> AwsError {
    sender(
        "UnknownOperationException",
        Some("InvalidAction"),
        format!("The action {operation} is not valid for this endpoint."),
    )
}

pub(super) fn mistyped(parameter: &str, expected: &str) -> AwsError {
    sender(
        "SerializationException",
        None,
        format!("The parameter {parameter} must be {expected}."),
    )
}

pub(super) fn missing(parameter: &str) -> AwsError {
    sender(
        "MissingRequiredParameterException",
        Some("MissingParameter"),
        format!("The request must contain the parameter {parameter}."),
    )
}

pub(super) fn invalid_parameter(message: impl Into<String>) -> AwsError {
    sender(
        "InvalidParameterValueException",
        Some("InvalidParameterValue"),
        message,
    )
}

pub(super) fn invalid_value(
    value: impl std::fmt::Display,
    parameter: &str,
    reason: &str,
) -> AwsError {
    invalid_parameter(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    ))
}

pub(super) fn message_too_long(maximum_bytes: usize) -> AwsError {
    invalid_parameter(format!(
        "One or more parameters are invalid. Reason: Message must be shorter than {maximum_bytes} \
         bytes."
    ))
}

pub(super) fn queue_does_not_exist() -> AwsError {
    sender(
        "QueueDoesNotExist",
        Some("AWS.SimpleQueueService.NonExistentQueue"),
        "The specified queue does not exist.",
    )
}

pub(super) fn queue_name_exists(attribute: &str) -> AwsError {
    sender(
        "QueueNameExists",
        Some("QueueAlreadyExists"),
        format!(
            "A queue already exists with the same name and a different value for attribute \
             {attribute}"
        ),
    )
}

pub(super) fn purge_in_progress(queue: &str) -> AwsError {
    sender(
        "PurgeQueueInProgress",
        Some("AWS.SimpleQueueService.PurgeQueueInProgress"),
        format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds."),
    )
}

pub(super) fn invalid_attribute_name(attribute: &str) -> AwsError {
    sender(
        "InvalidAttributeName",
        Some("InvalidAttributeName"),
        format!("Unknown Attribute {attribute}."),
    )
}

pub(super) fn invalid_attribute_value(attribute: &str) -> AwsError {
    sender(
        "InvalidAttributeValue",
        Some("InvalidAttributeValue"),
        format!("Invalid value for the parameter {attribute}."),
    )
}

pub(super) fn invalid_message_contents() -> AwsError {
    sender(
        "InvalidMessageContents",
        Some("InvalidMessageContents"),
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF \
         | #xE000 to #xFFFD | #x10000 to #x10FFFF",
    )
}

pub(super) fn receipt_handle_is_invalid(handle: &str) -> AwsError {
    sender(
        "ReceiptHandleIsInvalid",
        Some("ReceiptHandleIsInvalid"),
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

pub(super) fn message_not_in_flight() -> AwsError {
    sender(
        "MessageNotInflight",
        Some("AWS.SimpleQueueService.MessageNotInflight"),
        "The specified message isn't in flight.",
    )
}

pub(super) fn over_limit() -> AwsError {
    sender(
        "OverLimit",
        Some("OverLimit"),
        "Too many messages in flight: receive no more than 120000 at a time, and delete what is \
         processed.",
    )
}

pub(super) fn empty_batch(entry: &str) -> AwsError {
    sender(
        "EmptyBatchRequest",
        Some("AWS.SimpleQueueService.EmptyBatchRequest"),
        format!("There should be at least one {entry} in the request."),
    )
}

pub(super) fn too_many_entries(count: usize) -> AwsError {
    sender(
        "TooManyEntriesInBatchRequest",
        Some("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        format!("Maximum number of entries per request are 10. You have sent {count}."),
    )
}

pub(super) fn batch_ids_not_distinct(id: &str) -> AwsError {
    sender(
        "BatchEntryIdsNotDistinct",
        Some("AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        format!("Id {id} repeated."),
    )
}

pub(super) fn invalid_batch_id() -> AwsError {
    sender(
        "InvalidBatchEntryId",
        Some("AWS.SimpleQueueService.InvalidBatchEntryId"),
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It \
         can be at most 80 letters long.",
    )
}

pub(super) fn batch_too_long(limit_bytes: usize, bytes: usize) -> AwsError {
    sender(
        "BatchRequestTooLong",
        Some("AWS.SimpleQueueService.BatchRequestTooLong"),
        format!(
            "Batch requests cannot be longer than {limit_bytes} bytes. You have sent {bytes} bytes."
        ),
    )
}

pub(super) fn resource_not_found(message: &str) -> AwsError {
    sender(
        "ResourceNotFoundException",
        Some("ResourceNotFoundException"),
        message,
    )
}

pub(super) fn unsupported(message: &str) -> AwsError {
    sender(
        "UnsupportedOperation",
        Some("AWS.SimpleQueueService.UnsupportedOperation"),
        message,
    )
}

pub(super) fn internal(message: String) -> AwsError {
    AwsError {
        status: 500,
        code: "InternalFailure".to_owned(),
        message,
        query_code: Some("InternalFailure"),
    }
}
