//! The services of the endpoint, and their names.

/// The scheduler's name among the functions that faults know.
pub(crate) const SCHEDULER: &str = "scheduler";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    DynamoDb,
    Sqs,
    SecretsManager,
    Ses,
    Sns,
    SocialMessaging,
    Scheduler,
    /// A game's own server, which gets forwarded events. AWS has no such service.
    GameServer,
}

impl Service {
    pub const ALL: [Service; 8] = [
        Service::DynamoDb,
        Service::Sqs,
        Service::SecretsManager,
        Service::Ses,
        Service::Sns,
        Service::SocialMessaging,
        Service::Scheduler,
        Service::GameServer,
    ];

    /// The name in ARNs and in the AWS CLI.
    pub fn name(self) -> &'static str {
        match self {
            Service::DynamoDb => "dynamodb",
            Service::Sqs => "sqs",
            Service::SecretsManager => "secretsmanager",
            Service::Ses => "ses",
            Service::Sns => "sns",
            Service::SocialMessaging => "social-messaging",
            Service::Scheduler => "scheduler",
            Service::GameServer => "game-server",
        }
    }

    /// The operations that a function can be expected to call.
    pub(crate) fn operations(self) -> &'static [&'static str] {
        match self {
            Service::DynamoDb => &[
                "BatchGetItem",
                "BatchWriteItem",
                "DeleteItem",
                "DescribeTable",
                "GetItem",
                "PutItem",
                "Query",
                "Scan",
                "TransactGetItems",
                "TransactWriteItems",
                "UpdateItem",
            ],
            Service::Sqs => &[
                "CancelMessageMoveTask",
                "ChangeMessageVisibility",
                "ChangeMessageVisibilityBatch",
                "DeleteMessage",
                "DeleteMessageBatch",
                "GetQueueAttributes",
                "GetQueueUrl",
                "ListMessageMoveTasks",
                "ListQueues",
                "PurgeQueue",
                "ReceiveMessage",
                "SendMessage",
                "SendMessageBatch",
                "StartMessageMoveTask",
            ],
            Service::SecretsManager => &[
                "DescribeSecret",
                "GetSecretValue",
                "ListSecrets",
                "PutSecretValue",
            ],
            Service::Ses => &["SendEmail"],
            Service::Sns => &["GetTopicAttributes", "ListTopics", "Publish"],
            Service::SocialMessaging => &["SendWhatsAppMessage"],
            Service::Scheduler => &[
                "CreateSchedule",
                "DeleteSchedule",
                "GetSchedule",
                "ListSchedules",
                "UpdateSchedule",
            ],
            Service::GameServer => &["POST"],
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Service::DynamoDb | Service::Sqs => "application/x-amz-json-1.0",
            Service::SecretsManager => "application/x-amz-json-1.1",
            Service::Ses | Service::SocialMessaging | Service::Scheduler | Service::GameServer => {
                "application/json"
            }
            Service::Sns => "text/xml",
        }
    }
}
