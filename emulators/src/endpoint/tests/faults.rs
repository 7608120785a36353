//! Calls that meet faults.

use super::*;

#[tokio::test]
async fn a_failing_service_answers_in_its_own_words_and_does_nothing() {
    let endpoint = start().await;
    let body = json!({"SecretId": "zupy-secrets"});
    for (mode, expected) in [
        (
            CallMode::Fail,
            [
                (500, "InternalServerError"),
                (503, "ServiceUnavailable"),
                (500, "InternalServiceError"),
                (500, "InternalFailure"),
                (500, "InternalServiceException"),
            ],
        ),
        (
            CallMode::Throttle,
            [
                (400, "ProvisionedThroughputExceededException"),
                (400, "RequestThrottled"),
                (400, "ThrottlingException"),
                (429, "TooManyRequestsException"),
                (429, "ThrottledRequestException"),
            ],
        ),
    ] {
        endpoint.faults.add(Fault::everywhere(mode).times(5));
        let calls = [
            ("DynamoDB_20120810.PutItem", put()),
            ("AmazonSQS.ListQueues", json!({})),
            ("secretsmanager.GetSecretValue", body.clone()),
            (OUTBOUND_EMAILS, email("a@b.c")),
            (WHATSAPP_SEND, whatsapp("phone-number-id-1")),
        ];
        for ((target, body), (status, code)) in calls.into_iter().zip(expected) {
            let answer = endpoint.call(None, target, body).await;
            answer.check_refused(status, code, "");
        }
    }
    assert_eq!(endpoint.outside.all(), []);
    let scan = json!({"TableName": "events"});
    let items = endpoint.call(None, "DynamoDB_20120810.Scan", scan).await;
    assert_eq!(items.body["Count"], 0);
}

#[tokio::test]
async fn a_lost_answer_is_no_answer_to_work_that_is_done() {
    let endpoint = start().await;
    let fault = Fault::service(Service::Ses, CallMode::LoseResponse);
    endpoint.faults.add(fault.once());
    let lost = endpoint
        .try_call(None, OUTBOUND_EMAILS, email("a@b.c"))
        .await;
    assert!(lost.is_err(), "answered {}", lost.unwrap().status);
    assert_eq!(endpoint.outside.all().len(), 1);
    let answer = endpoint.call(None, OUTBOUND_EMAILS, email("a@b.c")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn delayed_work_is_done_even_if_the_caller_gives_up() {
    let endpoint = start().await;
    let delay = std::time::Duration::from_millis(100);
    let fault = Fault::service(Service::Ses, CallMode::Delay(delay));
    endpoint.faults.add(fault.once());
    let call = endpoint.call(None, OUTBOUND_EMAILS, email("a@b.c"));
    assert!(tokio::time::timeout(delay / 2, call).await.is_err());
    assert_eq!(endpoint.outside.all(), []);
    while endpoint.outside.all().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_conflict_is_dynamodbs() {
    let endpoint = start().await;
    let fault = Fault::service(Service::DynamoDb, CallMode::Conflict);
    endpoint.faults.add(fault.times(2));
    let answer = endpoint
        .call(None, "DynamoDB_20120810.PutItem", put())
        .await;
    let kind = answer.body["__type"].as_str().unwrap();
    assert!(kind.ends_with("#TransactionConflictException"), "{kind}");
    let transaction = json!({"TransactItems": [{"Put": put()}]});
    let answer = endpoint
        .call(None, "DynamoDB_20120810.TransactWriteItems", transaction)
        .await;
    assert_eq!(answer.status, 400);
    let reason = &answer.body["CancellationReasons"][0]["Code"];
    assert_eq!(reason, "TransactionConflict");
}

#[tokio::test]
async fn every_second_entry_of_a_batch_can_fail() {
    let endpoint = start().await;
    let create = json!({"QueueName": "work"});
    endpoint.call(None, "AmazonSQS.CreateQueue", create).await;
    let fault = Fault::service(Service::Sqs, CallMode::FailPartially);
    endpoint.faults.add(fault.times(2));
    for (entries, failed) in [(3, vec!["0", "2"]), (1, vec!["0"])] {
        let entries: Vec<_> = (0..entries)
            .map(|n| json!({"Id": n.to_string(), "MessageBody": "x"}))
            .collect();
        let batch = json!({"QueueUrl": "http://localhost/000000000000/work", "Entries": entries});
        let answer = endpoint
            .call(None, "AmazonSQS.SendMessageBatch", batch)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ids = answer.body["Failed"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.map(|entry| entry["Id"].as_str().unwrap()).collect();
        assert_eq!(ids, failed);
    }
    assert_eq!(endpoint.sqs.counts()["work"].visible, 1);
}

#[tokio::test]
async fn a_batch_of_reads_leaves_out_every_second_key() {
    let endpoint = start().await;
    let key = |n: usize| json!({"coupon": {"S": format!("c{n}")}});
    for n in 0..3 {
        let put = json!({"TableName": "events", "Item": key(n)});
        endpoint.call(None, "DynamoDB_20120810.PutItem", put).await;
    }
    let fault = Fault::service(Service::DynamoDb, CallMode::FailPartially);
    endpoint.faults.add(fault.times(3));
    let read = async |asked: Value| {
        let asked = json!({"RequestItems": {"events": asked}});
        endpoint
            .call(None, "DynamoDB_20120810.BatchGetItem", asked)
            .await
    };
    let asked = json!({"Keys": [key(0), key(1), key(2)], "ConsistentRead": true});
    let answer = read(asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["Responses"]["events"], json!([key(1)]));
    let left_out = &answer.body["UnprocessedKeys"]["events"];
    assert_eq!(
        *left_out,
        json!({"Keys": [key(0), key(2)], "ConsistentRead": true})
    );
    let answer = read(left_out.clone()).await;
    assert_eq!(answer.body["Responses"]["events"], json!([key(2)]));
    let left_out = &answer.body["UnprocessedKeys"]["events"];
    let answer = read(left_out.clone()).await;
    answer.check_refused(400, "ProvisionedThroughputExceededException", "");
    let answer = read(left_out.clone()).await;
    assert_eq!(answer.body["Responses"]["events"], json!([key(0)]));
    assert_eq!(answer.body["UnprocessedKeys"], json!({}));
}
