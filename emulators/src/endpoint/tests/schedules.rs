//! EventBridge Scheduler over HTTP, with its permissions.

use super::*;

fn schedule(role_arn: &str) -> Value {
    json!({
        "GroupName": "surveys",
        "ScheduleExpression": "at(2100-01-01T12:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": crate::template::arn("sqs", "due"), "RoleArn": role_arn, "Input": "x"},
    })
}

#[tokio::test]
async fn schedules_are_resources_of_rest() {
    let endpoint = start().await;
    let rest = async |method: &str, path: &str, body: Value| {
        endpoint.rest(None, method, path, &body).await
    };
    let (one, body) = ("/schedules/one%2E1", schedule(SCHEDULES_ROLE));
    let created = rest("POST", one, body.clone()).await;
    let arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/surveys/one.1";
    assert_eq!(
        (created.status, &created.body["ScheduleArn"]),
        (200, &json!(arn))
    );

    let again = rest("POST", one, body.clone()).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.headers["x-amzn-errortype"], "ConflictException");
    assert_eq!(again.body["Message"], "Schedule one.1 already exists.");

    let path = format!("{one}?groupName=surveys");
    let got = rest("GET", &path, Value::Null).await;
    assert_eq!(got.body["Name"], "one.1");
    let listed = rest(
        "GET",
        "/schedules?ScheduleGroup=surveys&NamePrefix=one",
        Value::Null,
    )
    .await;
    assert_eq!(listed.body["Schedules"][0]["Arn"], arn);
    let updated = rest("PUT", one, with_description(body)).await;
    assert_eq!(updated.status, 200);
    let got = rest("GET", &path, Value::Null).await;
    assert_eq!(got.body["Description"], "later");
    let deleted = rest("DELETE", &format!("{path}&clientToken=t"), Value::Null).await;
    assert_eq!((deleted.status, deleted.body), (200, json!({})));
    let gone = rest("GET", &path, Value::Null).await;
    assert_eq!(
        gone.headers["x-amzn-errortype"],
        "ResourceNotFoundException"
    );
}

fn with_description(mut schedule: Value) -> Value {
    schedule["Description"] = "later".into();
    schedule
}

#[tokio::test]
async fn a_function_creates_schedules_in_its_group_with_a_role_that_it_may_pass() {
    let endpoint = start().await;
    let create = async |body: Value| {
        let function = Some("zupy-coupon-used");
        endpoint
            .rest(function, "POST", "/schedules/one", &body)
            .await
    };
    let refused = [
        (
            schedule(OTHER_ROLE),
            "iam:PassRole on resource: arn:aws:iam::000000000000:role/other",
        ),
        (
            in_group(schedule(SCHEDULES_ROLE), "others"),
            "scheduler:CreateSchedule on resource: arn:aws:scheduler:us-east-1:000000000000:schedule/others/one",
        ),
    ];
    for (body, expected) in refused {
        let answer = create(body).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.headers["x-amzn-errortype"], "AccessDeniedException");
        let message = answer.body["Message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(create(schedule(SCHEDULES_ROLE)).await.status, 200);
}

fn in_group(mut schedule: Value, group: &str) -> Value {
    schedule["GroupName"] = group.into();
    schedule
}

#[tokio::test]
async fn the_scheduler_breaks_down_and_throttles_in_its_own_words() {
    let endpoint = start().await;
    for (mode, status, code) in [
        (CallMode::Fail, 500, "InternalServerException"),
        (CallMode::Throttle, 429, "ThrottlingException"),
    ] {
        let fault = Fault::calls(Service::Scheduler, "CreateSchedule", mode);
        endpoint.faults.add(fault.once());
        let body = schedule(SCHEDULES_ROLE);
        let answer = endpoint.rest(None, "POST", "/schedules/one", &body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["x-amzn-errortype"], code);
    }
}
