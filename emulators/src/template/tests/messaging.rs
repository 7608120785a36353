//! Topics, and groups of schedules.

use super::*;

#[test]
fn topics_have_their_subscribers() {
    let source = "
Conditions: {Never: !Equals [a, b]}
Resources:
  AlertsTopic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: Alerts
      KmsMasterKeyId: alias/aws/sns
      Subscription:
        - {Protocol: email, Endpoint: ops@example.com}
        - !If [Never, {Protocol: email, Endpoint: nobody@example.com}, !Ref AWS::NoValue]
  OnCall: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref AlertsTopic, Protocol: sms, Endpoint: '+5511987654321'}}
  Absent: {Type: AWS::SNS::Subscription, Condition: Never, Properties: {Protocol: sqs}}
  StockTopic: {Type: AWS::SNS::Topic, Properties: {TopicName: low-stock}}
  Policy: {Type: AWS::SNS::TopicPolicy, Properties: {Anything: !FindInMap [A, B, C]}}
";
    let template = read(source, &[]).unwrap();
    let [alerts, stock] = template.topics.as_slice() else {
        panic!("{:?}", template.topics);
    };
    assert_eq!(alerts.name, "alerts");
    assert_eq!(alerts.arn, "arn:aws:sns:us-east-1:000000000000:alerts");
    assert_eq!(alerts.display_name.as_deref(), Some("Alerts"));
    let subscriptions = alerts.subscriptions.iter();
    let subscriptions: Vec<_> = subscriptions
        .map(|subscription| (&*subscription.protocol, &*subscription.endpoint))
        .collect();
    let expected = [("email", "ops@example.com"), ("sms", "+5511987654321")];
    assert_eq!(subscriptions, expected);
    assert_eq!((&*stock.name, stock.subscriptions.len()), ("low-stock", 0));
}

#[test]
fn a_topic_that_the_local_system_cannot_serve_is_refused() {
    let topic = |properties: &str| {
        format!("Resources:\n  A: {{Type: AWS::SNS::Topic, Properties: {{{properties}}}}}\n")
    };
    check_refused(&topic("FifoTopic: true"), "FifoTopic is not supported");
    check_refused(&topic("TopicName: a.fifo"), "a topic's name is");
    check_refused(
        &topic("Subscription: [{Protocol: sqs, Endpoint: x}]"),
        "a subscription by sqs is not supported",
    );
    check_refused(
        "Resources:\n  A: {Type: AWS::SNS::Subscription, Properties: {TopicArn: x, Protocol: \
         email, Endpoint: y}}\n",
        "x is not the ARN of a topic of this template",
    );
}

const SCHEDULES: &str = "
Resources:
  SurveySchedules: {Type: AWS::Scheduler::ScheduleGroup}
  Named: {Type: AWS::Scheduler::ScheduleGroup, Properties: {Name: other, Tags: []}}
  DueQueue: {Type: AWS::SQS::Queue}
  SchedulesRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Allow
            Principal: {Service: scheduler.amazonaws.com}
            Action: sts:AssumeRole
            Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
      Policies:
        - PolicyDocument: {Statement: [{Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt DueQueue.Arn}]}
";

#[test]
fn groups_of_schedules_and_the_roles_that_they_have_are_read() {
    let template = read(SCHEDULES, &[]).unwrap();
    assert_eq!(template.schedule_groups, ["survey-schedules", "other"]);
    let [role] = template.roles.as_slice() else {
        panic!("{:?}", template.roles);
    };
    assert_eq!(role.arn, "arn:aws:iam::000000000000:role/schedules-role");
    assert!(role.trusts("scheduler.amazonaws.com") && !role.trusts("lambda.amazonaws.com"));
    let due = arn("sqs", "due");
    assert!(role.statements[0].allows("sqs:SendMessage", &due));
}

#[test]
fn schedules_that_nobody_would_run_and_trust_that_nobody_would_check_are_refused() {
    check_refused(
        "Resources:\n  A: {Type: AWS::Scheduler::Schedule}\n",
        "the type AWS::Scheduler::Schedule is not supported",
    );
    let elsewhere = SCHEDULES.replace("!Ref AWS::AccountId", "'123456789012'");
    check_refused(&elsewhere, "the local system's account is 000000000000");
    let by_arn = SCHEDULES.replace("aws:SourceAccount", "aws:SourceArn");
    check_refused(&by_arn, "aws:SourceArn is not supported");
}
