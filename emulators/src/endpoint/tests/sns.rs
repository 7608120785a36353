//! SNS over HTTP: forms in, XML out.

use super::*;

#[tokio::test]
async fn sns_is_asked_by_a_form_and_answers_in_xml() {
    let endpoint = start().await;
    for form in [SMS, ALERT] {
        let (status, xml) = endpoint.form(None, form).await;
        assert_eq!(status, 200, "{xml}");
        let id = endpoint.outside.all().pop().unwrap().message_id;
        let result = format!("<PublishResult><MessageId>{id}</MessageId></PublishResult>");
        assert!(xml.contains(&result), "{xml}");
    }
    let sent = endpoint.outside.all().into_iter();
    let channels: Vec<_> = sent.map(|sent| sent.channel).collect();
    assert_eq!(channels, ["sms", "topic"]);
    for (form, expected) in [
        (SMS.replace("%2B", ""), (400, "InvalidParameter")),
        (ALERT.replace("alerts", "others"), (404, "NotFound")),
        (SMS.replace("Publish", "Subscribe"), (400, "InvalidAction")),
        (
            SMS.replace("2010", "2011"),
            (404, "UnknownOperationException"),
        ),
    ] {
        let (status, xml) = endpoint.form(None, &form).await;
        assert_eq!(status, expected.0, "{xml}");
        let code = format!("<Code>{}</Code>", expected.1);
        assert!(xml.contains(&code), "{xml}");
    }
}

#[tokio::test]
async fn a_function_that_may_publish_to_phones_alone_does_not_reach_topics() {
    let endpoint = start().await;
    assert_eq!(endpoint.form(FUNCTION, SMS).await.0, 200);
    let (status, xml) = endpoint.form(FUNCTION, ALERT).await;
    assert_eq!(status, 403, "{xml}");
    let expected = "<Code>AuthorizationError</Code><Message>User: \
                    arn:aws:sts::000000000000:assumed-role/zupy-coupon-used is not authorized to \
                    perform: SNS:Publish on \
                    resource: arn:aws:sns:us-east-1:000000000000:alerts because";
    assert!(xml.contains(expected), "{xml}");
    assert_eq!(endpoint.outside.all().len(), 1);
}

#[tokio::test]
async fn a_failing_sns_says_so_in_xml() {
    let endpoint = start().await;
    for (mode, expected) in [
        (
            CallMode::Fail,
            (500, "<Type>Receiver</Type><Code>InternalError</Code>"),
        ),
        (
            CallMode::Throttle,
            (400, "<Type>Sender</Type><Code>Throttling</Code>"),
        ),
    ] {
        endpoint
            .faults
            .add(Fault::calls(Service::Sns, "Publish", mode).once());
        let (status, xml) = endpoint.form(None, SMS).await;
        assert_eq!(status, expected.0, "{xml}");
        assert!(xml.contains(expected.1), "{xml}");
    }
    assert_eq!(endpoint.outside.all(), []);
}
