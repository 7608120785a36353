//! Statements of roles.

use super::*;

#[test]
fn wildcards_match_as_in_iam() {
    let statement = Statement {
        actions: vec!["dynamodb:Get*".into(), "dynamodb:PutItem".into()],
        resources: Resources::These(vec!["arn:aws:dynamodb:*:table/ev?nts".into()]),
        conditions: vec![],
    };
    let table = "arn:aws:dynamodb:us-east-1:000000000000:table/events";
    assert!(statement.allows("dynamodb:GetItem", table));
    assert!(statement.allows("DynamoDB:putitem", table));
    assert!(!statement.allows("dynamodb:PutItems", table));
    assert!(!statement.allows("dynamodb:GetItem", &format!("{table}/index/by-entry")));
}

#[test]
fn a_resource_that_is_no_topic_is_a_phone_number() {
    let numbers =
        "          - {Effect: Allow, Action: sns:Publish, NotResource: 'arn:aws:sns:*:*:*'}";
    let numbers = &statements(numbers, "").unwrap().statements[0];
    let topic = "arn:aws:sns:us-east-1:000000000000:alerts";
    assert!(numbers.allows("sns:Publish", "+5511987654321"));
    assert!(!numbers.allows("sns:Publish", topic));
    assert!(!numbers.allows("sns:Subscribe", "+5511987654321"));
    let topics = "          - {Effect: Allow, Action: sns:Publish, Resource: !Ref AlertsTopic}";
    let topics = &statements(topics, "").unwrap().statements[0];
    assert!(topics.allows("sns:Publish", topic));
    assert!(!topics.allows("sns:Publish", "+5511987654321"));
    for (wrong, expected) in [
        ("{Effect: Allow, Action: a:B}", "Resource is missing"),
        (
            "{Effect: Allow, Action: a:B, Resource: '*', NotResource: x}",
            "either Resource or NotResource",
        ),
    ] {
        let message = statements(&format!("          - {wrong}"), "").unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_statement_with_a_condition_allows_only_requests_that_meet_it() {
    let conditional = "
          - Effect: Allow
            Action: ses:SendEmail
            Resource: '*'
            Condition: {StringLike: {'ses:FromAddress': ['*@example.com', one@example.org]}}
";
    let function = statements(conditional, "").unwrap();
    let statement = &function.statements[0];
    let check = |context: &[(&str, &str)], expected| {
        let allowed = statement.allows_when("ses:SendEmail", "any", context);
        assert_eq!(allowed, expected, "{context:?}");
    };
    check(&[("ses:FromAddress", "a@example.com")], true);
    check(&[("SES:fromaddress", "one@example.org")], true);
    check(&[("ses:FromAddress", "two@example.org")], false);
    check(&[("ses:Recipients", "a@example.com")], false);
    check(&[], false);
    let unknown = conditional.replace("StringLike", "IpAddress");
    let message = statements(&unknown, "").unwrap_err();
    assert!(message.contains("IpAddress is not supported"), "{message}");
}
