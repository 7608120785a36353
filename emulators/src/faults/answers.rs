//! What a service answers if it fails, throttles or has a conflict, in the words of its API
//! reference.

use serde_json::{Value, json};

use crate::AwsError;
use crate::service::Service;

/// DynamoDB's operations that can conflict with a transaction in progress.
pub(crate) const CONFLICTING: [&str; 4] =
    ["TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"];

/// Whether an operation can be done in part.
pub(crate) fn can_fail_partially(service: Service, operation: &str) -> bool {
    match service {
        Service::Sqs => operation.ends_with("Batch"),
        Service::DynamoDb => operation == "BatchGetItem",
        _ => false,
    }
}

/// The service fails. Clients consider the failure temporary, and retry.
pub(crate) fn failure(service: Service) -> AwsError {
    let (status, code, message) = match service {
        Service::DynamoDb => (
            500,
            "InternalServerError",
            "The request processing has failed because of an unknown error, exception or failure.",
        ),
        Service::Sqs => (
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
        Service::SecretsManager => (
            500,
            "InternalServiceError",
            "An error occurred on the server side.",
        ),
        Service::Ses => (
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
        ),
        Service::Sns => (
            500,
            "InternalError",
            "The request processing has failed because of an unknown error, exception or failure.",
        ),
        Service::SocialMessaging => (
            500,
            "InternalServiceException",
            "The request processing has failed because of an unknown error, exception, or failure.",
        ),
        Service::Scheduler => (
            500,
            "InternalServerException",
            "Unexpected error encountered while processing the request.",
        ),
        Service::GameServer => return chosen(500),
    };
    error(status, code, message)
}

pub(crate) fn throttling(service: Service) -> AwsError {
    let (status, code, message) = match service {
        Service::DynamoDb => (
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. Consider \
             increasing your \
             provisioning level with the UpdateTable API.",
        ),
        Service::Sqs => (
            400,
            "RequestThrottled",
            "The request was denied due to request throttling.",
        ),
        Service::SecretsManager => (400, "ThrottlingException", "Rate exceeded"),
        Service::Ses => (
            429,
            "TooManyRequestsException",
            "Too many requests have been made to the operation.",
        ),
        Service::Sns => (400, "Throttling", "Rate exceeded"),
        Service::SocialMessaging => (
            429,
            "ThrottledRequestException",
            "The request was denied due to request throttling.",
        ),
        Service::Scheduler => (429, "ThrottlingException", "Rate exceeded"),
        Service::GameServer => return chosen(429),
    };
    error(status, code, message)
}

/// Why SNS does not publish (API reference, Publish: errors).
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    pub(super) code: &'static str,
    message: &'static str,
}

impl Refusal {
    const ALL: [Refusal; 10] = [
        refusal(
            403,
            "AuthorizationError",
            "Not authorized to perform: SNS:Publish",
        ),
        refusal(400, "EndpointDisabled", "Endpoint is disabled"),
        refusal(400, "InvalidParameter", "Invalid parameter: Message"),
        refusal(
            400,
            "KMSAccessDenied",
            "The ciphertext refers to a key that you have no access to.",
        ),
        refusal(400, "KMSDisabled", "The key is disabled."),
        refusal(
            400,
            "KMSInvalidState",
            "The key's state is not valid for this request.",
        ),
        refusal(400, "KMSNotFound", "The key is not found."),
        refusal(400, "KMSThrottling", "The rate of requests is exceeded."),
        refusal(404, "NotFound", "Topic does not exist"),
        refusal(
            400,
            "ParameterValueInvalid",
            "The message attribute's value is not valid.",
        ),
    ];

    pub fn of(code: &str) -> Option<&'static Refusal> {
        const ALL: &[Refusal] = &Refusal::ALL;
        ALL.iter().find(|it| it.code == code)
    }

    pub(super) fn codes() -> [&'static str; 10] {
        Self::ALL.map(|it| it.code)
    }

    pub(crate) fn answer(&self) -> AwsError {
        error(self.status, self.code, self.message)
    }
}

const fn refusal(status: u16, code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        message,
    }
}

/// What a game's server answers if it does not accept a request.
pub(crate) fn chosen(status: u16) -> AwsError {
    error(status, "fault", "This is a fault of the local system.")
}

/// The body of a conflict. For a transaction, the body has a reason for each item.
pub(crate) fn conflict(operation: &str, request: &Value) -> Value {
    let code = |name: &str| format!("com.amazonaws.dynamodb.v20120810#{name}");
    if operation != "TransactWriteItems" {
        return json!({
            "__type": code("TransactionConflictException"),
            "message": "Transaction is ongoing for the item",
        });
    }
    let items = request["TransactItems"].as_array().map_or(1, Vec::len);
    let reason = json!({
        "Code": "TransactionConflict",
        "Message": "Transaction is ongoing for the item",
    });
    let codes = vec!["TransactionConflict"; items].join(", ");
    json!({
        "__type": code("TransactionCanceledException"),
        "CancellationReasons": vec![reason; items],
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons \
             [{codes}]"
        ),
    })
}

/// An entry of a batch that SQS failed to process.
pub(crate) fn failed_entry(entry: &Value) -> Value {
    json!({
        "Id": entry["Id"],
        "SenderFault": false,
        "Code": "InternalError",
        "Message": "The request has failed due to a temporary failure of the server.",
    })
}

fn error(status: u16, code: &str, message: &str) -> AwsError {
    AwsError {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
        query_code: None,
    }
}
