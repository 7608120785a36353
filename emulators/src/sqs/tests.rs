//! SQS through its operations.

use super::*;

async fn call(sqs: &Sqs, operation: &str, body: Value) -> Result<Value, AwsError> {
    sqs.handle(operation, &body).await
}

fn queue(name: &str, redrive: Option<(&str, u32)>) -> Queue {
    let redrive = redrive.map(|(target, max_receive_count)| Redrive {
        dead_letter_queue: target.to_owned(),
        max_receive_count,
    });
    Queue {
        name: name.to_owned(),
        visibility_timeout_s: 30,
        retention_s: 345_600,
        delay_s: 0,
        redrive,
    }
}

fn in_memory() -> Sqs {
    let sqs = Sqs::open(None).unwrap();
    sqs.declare(queue("delivery", Some(("dead", 2)))).unwrap();
    sqs.declare(queue("dead", None)).unwrap();
    sqs
}

#[tokio::test]
async fn attributes_of_no_name_are_absent() {
    let sqs = in_memory();
    let body = json!({"QueueUrl": "dead"});
    let answer = call(&sqs, "GetQueueAttributes", body).await.unwrap();
    assert_eq!(answer, json!({}));
}

async fn send(sqs: &Sqs, body: &str) -> String {
    let sent = call(
        sqs,
        "SendMessage",
        json!({"QueueUrl": "delivery", "MessageBody": body}),
    )
    .await
    .unwrap();
    sent["MessageId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_waiting_receive_wakes_when_a_message_arrives() {
    let sqs = in_memory();
    let waiting = sqs.clone();
    let waiting = tokio::spawn(async move {
        waiting
            .receive("delivery", 10, Duration::from_secs(20))
            .await
    });
    tokio::task::yield_now().await;
    let id = send(&sqs, "hello").await;
    let received = tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((received.len(), &received[0].message_id), (1, &id));
}

#[tokio::test]
async fn a_waiting_receive_wakes_when_a_message_becomes_visible_again() {
    let sqs = in_memory();
    let id = send(&sqs, "hello").await;
    let first = sqs.receive("delivery", 1, Duration::ZERO).await.remove(0);
    let waiting = sqs.clone();
    let waiting = tokio::spawn(async move {
        waiting
            .receive("delivery", 1, Duration::from_secs(20))
            .await
    });
    tokio::task::yield_now().await;
    let body = json!({"QueueUrl": "delivery", "ReceiptHandle": first.receipt_handle, "VisibilityTimeout": 1});
    call(&sqs, "ChangeMessageVisibility", body).await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            &again[0].message_id,
            again[0].attributes["ApproximateReceiveCount"].as_str()
        ),
        (&id, "2")
    );
}

#[tokio::test]
async fn a_receive_waits_no_longer_than_asked() {
    let sqs = in_memory();
    for queue in ["delivery", "missing"] {
        let (started, wait) = (Instant::now(), Duration::from_millis(50));
        assert!(sqs.receive(queue, 1, wait).await.is_empty());
        assert!(started.elapsed() >= wait);
    }
}

#[tokio::test]
async fn a_receive_waits_as_the_queue_says_by_default() {
    let sqs = in_memory();
    let attributes =
        json!({"QueueUrl": "delivery", "Attributes": {"ReceiveMessageWaitTimeSeconds": "1"}});
    call(&sqs, "SetQueueAttributes", attributes).await.unwrap();
    let started = Instant::now();
    assert_eq!(
        call(&sqs, "ReceiveMessage", json!({"QueueUrl": "delivery"})).await,
        Ok(json!({}))
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
    let started = Instant::now();
    let body = json!({"QueueUrl": "delivery", "WaitTimeSeconds": 0});
    assert_eq!(call(&sqs, "ReceiveMessage", body).await, Ok(json!({})));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_received_message_has_the_form_of_a_lambda_event() {
    let sqs = in_memory();
    let body = json!({
        "QueueUrl": "delivery", "MessageBody": "hello", "MessageGroupId": "tenant",
        "MessageAttributes": {
            "kind": {"DataType": "String", "StringValue": "x"},
            "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
        },
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    });
    call(&sqs, "SendMessage", body).await.unwrap();
    let received =
        serde_json::to_value(sqs.receive("delivery", 1, Duration::ZERO).await.remove(0)).unwrap();
    assert_eq!(received["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(received["attributes"]["AWSTraceHeader"], "Root=1");
    assert_eq!(received["attributes"]["MessageGroupId"], "tenant");
    let lists = json!({"stringListValues": [], "binaryListValues": []});
    for (name, field, value, data_type) in [
        ("kind", "stringValue", "x", "String"),
        ("raw", "binaryValue", "AAE=", "Binary"),
    ] {
        let mut expected = lists.clone();
        expected[field] = json!(value);
        expected["dataType"] = json!(data_type);
        assert_eq!(received["messageAttributes"][name], expected);
    }
}

#[tokio::test]
async fn a_restart_continues_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let before = Sqs::open(Some(directory.path())).unwrap();
    before
        .declare(queue("delivery", Some(("dead", 2))))
        .unwrap();
    before.declare(queue("dead", None)).unwrap();
    let ids = [
        send(&before, "deleted").await,
        send(&before, "in flight").await,
        send(&before, "é").await,
    ];
    let received = before.receive("delivery", 2, Duration::ZERO).await;
    before.delete("delivery", &received[0].receipt_handle);

    // The first store is still open, as a killed process leaves it.
    let after = Sqs::open(Some(directory.path())).unwrap();
    assert_eq!(after.counts(), before.counts());
    assert_eq!(
        after.counts()["delivery"],
        Counts {
            visible: 1,
            in_flight: 1,
            delayed: 0
        }
    );
    let visible = after.receive("delivery", 10, Duration::ZERO).await;
    assert_eq!(
        (
            visible.len(),
            visible[0].message_id.as_str(),
            visible[0].body.as_str()
        ),
        (1, ids[2].as_str(), "é")
    );
    let handle = &received[1].receipt_handle;
    let body = json!({"QueueUrl": "delivery", "ReceiptHandle": handle, "VisibilityTimeout": 0});
    call(&after, "ChangeMessageVisibility", body).await.unwrap();
    let again = after.receive("delivery", 10, Duration::ZERO).await;
    assert_eq!(again[0].attributes["ApproximateReceiveCount"], "2");
    send(&after, "new").await;
    assert_eq!(
        Sqs::open(Some(directory.path())).unwrap().counts(),
        after.counts()
    );
}

#[tokio::test]
async fn a_restart_forgets_purged_and_deleted_messages_and_keeps_move_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let sqs = Sqs::open(Some(directory.path())).unwrap();
    sqs.declare(queue("delivery", Some(("dead", 1)))).unwrap();
    sqs.declare(queue("dead", None)).unwrap();
    call(
        &sqs,
        "CreateQueue",
        json!({"QueueName": "short-lived", "tags": {"a": "b"}}),
    )
    .await
    .unwrap();
    call(
        &sqs,
        "SendMessage",
        json!({"QueueUrl": "short-lived", "MessageBody": "x"}),
    )
    .await
    .unwrap();
    call(&sqs, "DeleteQueue", json!({"QueueUrl": "short-lived"}))
        .await
        .unwrap();
    send(&sqs, "purged").await;
    call(&sqs, "PurgeQueue", json!({"QueueUrl": "delivery"}))
        .await
        .unwrap();
    call(
        &sqs,
        "SendMessage",
        json!({"QueueUrl": "dead", "MessageBody": "x"}),
    )
    .await
    .unwrap();
    let task = json!({"SourceArn": queue_arn("dead"), "DestinationArn": queue_arn("delivery")});
    call(&sqs, "StartMessageMoveTask", task).await.unwrap();

    let after = Sqs::open(Some(directory.path())).unwrap();
    assert_eq!(after.counts(), sqs.counts());
    assert_eq!(after.counts()["delivery"].visible, 1);
    let tasks = call(
        &after,
        "ListMessageMoveTasks",
        json!({"SourceArn": queue_arn("dead")}),
    )
    .await
    .unwrap();
    assert_eq!(tasks["Results"][0]["Status"], "COMPLETED");
    let purge = call(&after, "PurgeQueue", json!({"QueueUrl": "delivery"})).await;
    assert_eq!(purge.unwrap_err().code, "PurgeQueueInProgress");
}

#[test]
fn refuses_a_file_of_another_version() {
    let directory = tempfile::tempdir().unwrap();
    drop(Sqs::open(Some(directory.path())).unwrap());
    let connection = rusqlite::Connection::open(directory.path().join("sqs.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = format!("{:#}", Sqs::open(Some(directory.path())).unwrap_err());
    assert!(error.contains("is of version 99"), "{error}");
}

#[tokio::test]
async fn reports_the_problem_with_a_request() {
    let sqs = in_memory();
    let check = async |operation: &str, body: Value, code: &str, query_code: &str| {
        let error = call(&sqs, operation, body.clone()).await.unwrap_err();
        assert_eq!(
            (error.status, error.code.as_str()),
            (400, code),
            "{operation} {body}"
        );
        assert_eq!(
            error.query_code.unwrap_or_default(),
            query_code,
            "{operation} {body}"
        );
    };
    let missing = "AWS.SimpleQueueService.NonExistentQueue";
    check(
        "SendMessage",
        json!({"QueueUrl": "no", "MessageBody": "x"}),
        "QueueDoesNotExist",
        missing,
    )
    .await;
    check(
        "ReceiveMessage",
        json!({"QueueUrl": "no"}),
        "QueueDoesNotExist",
        missing,
    )
    .await;
    check(
        "DeleteQueue",
        json!({"QueueUrl": "no"}),
        "QueueDoesNotExist",
        missing,
    )
    .await;
    check(
        "Sing",
        json!({}),
        "UnknownOperationException",
        "InvalidAction",
    )
    .await;
    check(
        "SendMessage",
        json!({}),
        "MissingRequiredParameterException",
        "MissingParameter",
    )
    .await;
    check("SendMessage", json!("x"), "SerializationException", "").await;
    let invalid = ("InvalidParameterValueException", "InvalidParameterValue");
    for (name, value) in [
        ("MaxNumberOfMessages", 0),
        ("MaxNumberOfMessages", 11),
        ("WaitTimeSeconds", 21),
        ("VisibilityTimeout", 43_201),
    ] {
        check(
            "ReceiveMessage",
            json!({"QueueUrl": "delivery", name: value}),
            invalid.0,
            invalid.1,
        )
        .await;
    }
    check(
        "CreateQueue",
        json!({"QueueName": "a b"}),
        invalid.0,
        invalid.1,
    )
    .await;
    check(
        "CreateQueue",
        json!({"QueueName": "a", "Attributes": {"Color": "red"}}),
        "InvalidAttributeName",
        "InvalidAttributeName",
    )
    .await;
    check(
        "GetQueueAttributes",
        json!({"QueueUrl": "dead", "AttributeNames": ["x"]}),
        "InvalidAttributeName",
        "InvalidAttributeName",
    )
    .await;
    let garbage = json!({"QueueUrl": "dead", "ReceiptHandle": "x"});
    check(
        "DeleteMessage",
        garbage,
        "ReceiptHandleIsInvalid",
        "ReceiptHandleIsInvalid",
    )
    .await;
}

#[tokio::test]
async fn a_batch_is_refused_whole_or_fails_entry_by_entry() {
    let sqs = in_memory();
    let send = async |entries: Value| {
        call(
            &sqs,
            "SendMessageBatch",
            json!({"QueueUrl": "delivery", "Entries": entries}),
        )
        .await
    };
    let entry = |id: &str, body: &str| json!({"Id": id, "MessageBody": body});
    let half = "x".repeat(MAXIMUM_MESSAGE_BYTES / 2);
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        (
            json!(
                (0..11)
                    .map(|id| entry(&id.to_string(), "x"))
                    .collect::<Vec<_>>()
            ),
            "TooManyEntriesInBatchRequest",
        ),
        (
            json!([entry("a", "x"), entry("a", "y")]),
            "BatchEntryIdsNotDistinct",
        ),
        (json!([entry("a b", "x")]), "InvalidBatchEntryId"),
        (json!([entry(&"a".repeat(81), "x")]), "InvalidBatchEntryId"),
        (
            json!([entry("a", &half), entry("b", &half), entry("c", "x")]),
            "BatchRequestTooLong",
        ),
        (json!([7]), "SerializationException"),
    ] {
        assert_eq!(send(entries).await.unwrap_err().code, code);
    }
    assert_eq!(sqs.counts()["delivery"].visible, 0);
    let answer = send(json!([
        entry("a", &half),
        entry("b", &half),
        entry("c", "\u{1}")
    ]))
    .await;
    // The body of the third entry never counted, so that entry fails alone.
    let answer = answer.unwrap();
    assert_eq!(answer["Successful"].as_array().unwrap().len(), 2);
    assert_eq!(answer["Failed"][0]["Code"], "InvalidMessageContents");
    assert_eq!(
        (
            &answer["Failed"][0]["Id"],
            &answer["Failed"][0]["SenderFault"]
        ),
        (&json!("c"), &json!(true))
    );
    assert_eq!(sqs.counts()["delivery"].visible, 2);
}

#[tokio::test]
async fn creating_a_queue_again_is_harmless_unless_it_differs() {
    let sqs = in_memory();
    sqs.set_base_url("http://127.0.0.1:4999/");
    let create = async |timeout: &str| {
        let attributes = json!({"VisibilityTimeout": timeout});
        call(
            &sqs,
            "CreateQueue",
            json!({"QueueName": "new", "Attributes": attributes}),
        )
        .await
    };
    let url = json!({"QueueUrl": "http://127.0.0.1:4999/000000000000/new"});
    assert_eq!(create("60").await, Ok(url.clone()));
    assert_eq!(create("60").await, Ok(url));
    let error = create("61").await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.query_code),
        ("QueueNameExists", Some("QueueAlreadyExists"))
    );
}

#[tokio::test]
async fn lists_queues_page_by_page() {
    let sqs = in_memory();
    let names = |answer: &Value| answer["QueueUrls"].as_array().unwrap().len();
    let first = call(&sqs, "ListQueues", json!({"MaxResults": 1}))
        .await
        .unwrap();
    let second = call(
        &sqs,
        "ListQueues",
        json!({"MaxResults": 1, "NextToken": first["NextToken"]}),
    )
    .await
    .unwrap();
    assert_eq!(
        (names(&first), names(&second), second.get("NextToken")),
        (1, 1, None)
    );
    let prefixed = call(&sqs, "ListQueues", json!({"QueueNamePrefix": "deli"}))
        .await
        .unwrap();
    assert_eq!(names(&prefixed), 1);
    let sources = call(
        &sqs,
        "ListDeadLetterSourceQueues",
        json!({"QueueUrl": "dead"}),
    )
    .await
    .unwrap();
    assert_eq!(sources["queueUrls"].as_array().unwrap().len(), 1);
}
