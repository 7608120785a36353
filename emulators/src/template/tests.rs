//! Reads the real template, and small ones that show the accepted parts and the errors for others.

mod messaging;
mod permissions;
mod values;

use super::*;

const PORT: u16 = 4566;

fn given(parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
    parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(source: &str, parameters: &[(&str, &str)]) -> std::result::Result<Template, String> {
    parse(source, &given(parameters), PORT)
        .map_err(|problem| format!("{}: {}: {}", problem.line, problem.path, problem.message))
}

#[track_caller]
fn check_refused(source: &str, expected: &str) {
    let message = read(source, &[]).unwrap_err();
    assert!(message.contains(expected), "{message}");
}

const OURS: &str = include_str!("../../../template.yaml");

const PARAMETERS: [(&str, &str); 5] = [
    ("AghanimWebhookSecrets", "aghanim-secret"),
    ("ZupyWebhookSecrets", "zupy-secret"),
    ("MailFrom", "shop@example.com"),
    ("MailIdentity", "example.com"),
    ("MaxAgeS", "3153600000"),
];

fn ours() -> Template {
    parse(OURS, &given(&PARAMETERS), PORT).unwrap()
}

fn function<'a>(template: &'a Template, name: &str) -> &'a Function {
    let mut functions = template.functions.iter();
    functions.find(|function| function.name == name).unwrap()
}

#[test]
fn our_webhook_functions_have_their_routes_and_environment() {
    let template = ours();
    let used = function(&template, "zupy-coupon-used");
    assert_eq!(used.logical_id, "ZupyCouponUsedFunction");
    assert_eq!((used.timeout_s, used.memory_mb), (10, 256));
    let route = Route {
        method: "POST".into(),
        path: "/webhooks/zupy/coupon-used".into(),
    };
    assert_eq!(used.routes, [route]);
    assert_eq!(used.environment["EVENTS_TABLE"], "events");
    assert_eq!(used.environment["MAX_AGE_S"], "3153600000");
    assert_eq!(used.environment["MAX_FUTURE_S"], "300");
    assert_eq!(used.environment["AWS_ENDPOINT_URL"], "");
    assert_eq!(
        used.environment["WEBHOOK_SECRET_ID"],
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:zupy-secrets"
    );
    assert_eq!(
        function(&template, "zupy").environment["WORK_QUEUE_URL"],
        "http://127.0.0.1:4566/000000000000/work"
    );
}

#[test]
fn our_tasks_have_their_queues_and_permissions() {
    let template = ours();
    let delivery = function(&template, "delivery");
    assert_eq!(delivery.timeout_s, 60);
    let source = QueueSource {
        queue: "delivery".into(),
        batch_size: 10,
        maximum_concurrency: 10,
        reports_batch_item_failures: true,
        batching_window_s: 0,
    };
    assert_eq!(delivery.sources, [source]);
    let may = |action, resource| {
        let mut statements = delivery.statements.iter();
        statements.any(|statement| statement.allows(action, resource))
    };
    assert!(may(
        "dynamodb:UpdateItem",
        "arn:aws:dynamodb:us-east-1:000000000000:table/members"
    ));
    assert!(!may(
        "dynamodb:DeleteItem",
        "arn:aws:dynamodb:us-east-1:000000000000:table/members"
    ));
    assert!(may(
        "ses:SendEmail",
        "arn:aws:ses:us-east-1:000000000000:identity/example.com"
    ));
    let queue = template
        .queues
        .iter()
        .find(|queue| queue.name == "delivery");
    let redrive = queue.unwrap().redrive.as_ref().unwrap();
    assert_eq!(redrive.dead_letter_queue, "delivery-dead-letter");
    assert_eq!(redrive.max_receive_count, 1000);
    assert_eq!(queue.unwrap().visibility_timeout_s, 360);
}

#[test]
fn our_tables_and_secrets_are_there() {
    let template = ours();
    let events = template.tables.iter().find(|table| table.name == "events");
    let events = events.unwrap();
    assert_eq!(events.ttl_attribute.as_deref(), Some("ttl"));
    assert_eq!(events.create["KeySchema"][1]["AttributeName"], "entry");
    assert_eq!(events.create["BillingMode"], "PAY_PER_REQUEST");
    let secret = template
        .secrets
        .iter()
        .find(|secret| secret.name == "zupy-secrets");
    assert_eq!(secret.unwrap().value, "zupy-secret");
}

#[test]
fn a_parameter_without_a_value_is_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let error = Template::read(&path, &given(&[]), PORT)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the parameter AghanimWebhookSecrets has no default"),
        "{error}"
    );
    assert!(error.contains("template.yaml:1"), "{error}");
}

#[test]
fn parameters_must_meet_their_constraints() {
    let source = "
Parameters:
  Secret: {Type: String, NoEcho: true, MinLength: 3, Default: abc}
  Level: {Type: String, AllowedValues: [INFO, WARN], Default: INFO}
  From: {Type: String, AllowedPattern: '.+@.+', Default: a@b, ConstraintDescription: must be an address}
  Age: {Type: Number, MinValue: 1, MaxValue: 10, Default: 5}
Resources: {}
";
    read(source, &[]).unwrap();
    for (name, value, expected) in [
        (
            "Secret",
            "ab",
            "3: Parameters.Secret: must be at least 3 characters",
        ),
        ("Level", "LOUD", "must be one of INFO, WARN, is \"LOUD\""),
        (
            "From",
            "nobody",
            "must match .+@.+, is \"nobody\" (must be an address)",
        ),
        ("Age", "old", "must be a number"),
        ("Age", "0", "must be at least 1"),
        ("Age", "11", "must be at most 10"),
        (
            "Other",
            "x",
            "a value was given for Other, which is not a parameter",
        ),
    ] {
        let message = read(source, &[(name, value)]).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let message = read(source, &[("Secret", "ab")]).unwrap_err();
    assert!(!message.contains("\"ab\""), "{message}");
}

/// A function with these statements in its role, for a template with or without a phone number id.
fn statements(statements: &str, phone_number_id: &str) -> std::result::Result<Function, String> {
    let source = format!(
        "
Parameters:
  PhoneNumberId: {{Type: String, Default: ''}}
Conditions:
  HasPhoneNumber: !Not [!Equals [!Ref PhoneNumberId, '']]
Resources:
  AlertsTopic: {{Type: AWS::SNS::Topic}}
  WorkFunction:
    Type: AWS::Serverless::Function
    Metadata: {{BuildProperties: {{Binary: work}}}}
    Properties:
      Environment: {{Variables: {{PHONE: !If [HasPhoneNumber, !Ref PhoneNumberId, !Ref AWS::NoValue]}}}}
      Policies:
        Statement:
{statements}
"
    );
    let mut template = read(&source, &[("PhoneNumberId", phone_number_id)])?;
    Ok(template.functions.remove(0))
}

/// A function with these properties, which reads from a queue.
fn with_properties(properties: &str) -> String {
    format!(
        "
Globals: {{Function: {{Timeout: 7, Environment: {{Variables: {{A: 1, B: 2}}}}}}}}
Resources:
  WorkQueue: {{Type: AWS::SQS::Queue, Properties: {{VisibilityTimeout: 60}}}}
  WorkFunction:
    Type: AWS::Serverless::Function
    Metadata: {{BuildProperties: {{Binary: work}}}}
    Properties:
{properties}
"
    )
}

#[test]
fn the_environment_of_a_function_has_4096_bytes_at_most() {
    // The others of `{"A":"1","B":"2","C":"xxx"}` have 24 bytes.
    let with = |length: usize| {
        let variables = format!("{{C: {}}}", "x".repeat(length));
        with_properties(&format!("      Environment: {{Variables: {variables}}}"))
    };
    assert!(read(&with(4096 - 24), &[]).is_ok());
    check_refused(
        &with(4096 - 23),
        "the function work has 4097 bytes of environment variables, and Lambda takes 4096",
    );
}

#[test]
fn globals_are_merged_beneath_a_functions_own_properties() {
    let source = with_properties(
        "
      MemorySize: 512
      Environment: {Variables: {B: 3}}
      Policies:
        - AWSLambdaBasicExecutionRole
        - Statement: {Effect: Allow, Action: sqs:*, Resource: '*'}
      Events:
        Messages:
          Type: SQS
          Properties: {Queue: !GetAtt WorkQueue.Arn, BatchSize: 50, MaximumBatchingWindowInSeconds: 2, ScalingConfig: {MaximumConcurrency: 4}}
        Hourly: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour)}}
        Often: {Type: Schedule, Properties: {Schedule: rate(5 minutes)}}
        Off: {Type: Schedule, Properties: {Schedule: rate(5 minutes), Enabled: false}}
",
    );
    let work = read(&source, &[]).unwrap().functions.remove(0);
    assert_eq!((work.timeout_s, work.memory_mb), (7, 512));
    assert_eq!(work.environment, given(&[("A", "1"), ("B", "3")]));
    let source = QueueSource {
        queue: "work".into(),
        batch_size: 50,
        maximum_concurrency: 4,
        reports_batch_item_failures: false,
        batching_window_s: 2,
    };
    assert_eq!(work.sources, [source]);
    let schedule = |name: &str, every_s| Schedule {
        name: name.into(),
        every_s,
    };
    assert_eq!(
        work.schedules,
        [schedule("Hourly", 3600), schedule("Often", 300)]
    );
    assert!(
        work.statements[0].allows("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:work")
    );
}

#[test]
fn a_function_that_aws_would_not_deploy_is_refused() {
    for (properties, expected) in [
        ("      Layers: [x]", "Layers is not supported"),
        (
            "      Timeout: 901",
            "must be a whole number from 1 to 900, is \"901\"",
        ),
        (
            "      Events: {M: {Type: SQS, Properties: {Queue: !GetAtt WorkQueue.Arn, BatchSize: \
             50}}}",
            "MaximumBatchingWindowInSeconds of at least 1",
        ),
        (
            "      Timeout: 61\n      Events: {M: {Type: SQS, Properties: {Queue: !GetAtt \
             WorkQueue.Arn}}}",
            "longer than the visibility timeout of 60 s of its queue work",
        ),
        (
            "      Events: {M: {Type: SQS, Properties: {Queue: arn:aws:sqs:us-east-1:1:other}}}",
            "not the ARN of a queue of this template",
        ),
        (
            "      Events: {M: {Type: S3}}",
            "the event type S3 is not supported",
        ),
        (
            "      Events: {M: {Type: Schedule, Properties: {Schedule: cron(0 1 * * ? *)}}}",
            "only rate(number unit)",
        ),
        (
            "      Policies: [AdministratorAccess]",
            "the managed policy AdministratorAccess",
        ),
        (
            "      Policies: [{Statement: {Effect: Deny, Action: '*', Resource: '*'}}]",
            "only Allow is supported",
        ),
        (
            "      Role: arn:aws:iam::1:role/other",
            "not the ARN of a role of this template",
        ),
    ] {
        check_refused(&with_properties(properties), expected);
    }
}

#[test]
fn two_functions_on_one_route_are_refused() {
    let twice = OURS.replace("Path: /webhooks/zupy/coupon-used", "Path: /webhooks/zupy");
    let refused = read(&twice, &PARAMETERS).unwrap_err();
    let expected = "POST /webhooks/zupy is a route of ZupyCouponUsedFunction already";
    assert!(refused.contains(expected), "{refused}");
}

#[test]
fn a_role_that_cannot_read_its_queue_is_refused() {
    let source = with_properties(
        "      Role: !GetAtt WorkRole.Arn
      Events: {M: {Type: SQS, Properties: {Queue: !GetAtt WorkQueue.Arn}}}
  WorkRole:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyDocument: {Statement: [{Effect: Allow, Action: sqs:ReceiveMessage, Resource: !GetAtt WorkQueue.Arn}]}",
    );
    check_refused(
        &source,
        "does not allow sqs:DeleteMessage on arn:aws:sqs:us-east-1:000000000000:work",
    );
}

#[test]
fn a_resource_that_the_local_system_cannot_run_is_refused_by_name() {
    let resource = |text: &str| format!("Resources:\n  A: {{{text}}}\n");
    for (text, expected) in [
        (
            "Type: AWS::S3::Bucket",
            "2: Resources.A.Type: the type AWS::S3::Bucket is not supported",
        ),
        ("Properties: {}", "2: Resources.A: Type is missing"),
        (
            "Type: AWS::SQS::Queue, Properties: {FifoQueue: true}",
            "FifoQueue is not supported",
        ),
        (
            "Type: AWS::SQS::Queue, Properties: {DelaySeconds: 901}",
            "from 0 to 900",
        ),
        (
            "Type: AWS::SecretsManager::Secret",
            "the property SecretString is missing",
        ),
        ("Type: AWS::Serverless::Function", "Metadata is missing"),
        (
            "Type: AWS::Serverless::Function, Metadata: {BuildProperties: {Binary: b}}",
            "must be a, the function's logical id respelled, is b",
        ),
    ] {
        check_refused(&resource(text), expected);
    }
    check_refused("Resources: [", "not YAML");
    check_refused("Mappings: {}\nResources: {}", "Mappings is not supported");
    check_refused(
        "Transform: AWS::Include\nResources: {}",
        "the transform AWS::Include",
    );
    let twins = "Resources:\n  AQueue: {Type: AWS::SQS::Queue}\n  B: {Type: AWS::SQS::Queue, \
                 Properties: {QueueName: a}}\n";
    check_refused(
        twins,
        "3: Resources.B: another resource of type AWS::SQS::Queue is named a",
    );
}

#[test]
fn resources_that_the_local_system_does_not_need_are_ignored() {
    let source = "
Conditions: {Never: !Equals [a, b]}
Resources:
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Anything: !FindInMap [A, B, C]}}
  SlowAlarm: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: !Sub 'x'}}
  Logs: {Type: AWS::Logs::LogGroup}
  AbsentQueue: {Type: AWS::SQS::Queue, Condition: Never}
  GivenQueue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-x'}}
";
    let template = read(source, &[]).unwrap();
    let names: Vec<&str> = template
        .queues
        .iter()
        .map(|queue| queue.name.as_str())
        .collect();
    assert_eq!(names, ["local-x"]);
    assert_eq!(template.queues[0].visibility_timeout_s, 30);
}

#[test]
fn a_secret_is_given_or_generated() {
    let read_secret = |properties: &str| {
        let source = format!(
            "Resources:\n  Made: {{Type: AWS::SecretsManager::Secret, Properties: \
             {{{properties}}}}}"
        );
        read(&source, &[]).map(|template| template.secrets[0].value.clone())
    };
    assert_eq!(read_secret("SecretString: a").unwrap(), "a");
    let generated = "GenerateSecretString: {PasswordLength: 32, ExcludePunctuation: true}";
    let value = read_secret(generated).unwrap();
    assert_eq!(value.len(), 32);
    assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(read_secret(generated).unwrap(), value);
    let both = format!("SecretString: a, {generated}");
    assert!(
        read_secret(&both)
            .unwrap_err()
            .contains("either SecretString")
    );
    assert!(
        read_secret("")
            .unwrap_err()
            .contains("SecretString is missing")
    );
}

#[test]
fn a_permission_can_depend_on_a_condition() {
    let conditional = "
          - {Effect: Allow, Action: ses:SendEmail, Resource: '*'}
          - Fn::If:
              - HasPhoneNumber
              - Effect: Allow
                Action: social-messaging:SendWhatsAppMessage
                Resource: !Sub arn:${AWS::Partition}:social-messaging:${AWS::Region}:${AWS::AccountId}:phone-number-id/${PhoneNumberId}
              - !Ref AWS::NoValue
";
    let without = statements(conditional, "").unwrap();
    assert_eq!(without.statements.len(), 1);
    assert_eq!(without.environment.get("PHONE"), None);
    let with = statements(conditional, "phone-number-id-1").unwrap();
    assert_eq!(with.environment["PHONE"], "phone-number-id-1");
    assert!(with.statements[1].allows(
        "social-messaging:SendWhatsAppMessage",
        "arn:aws:social-messaging:us-east-1:000000000000:phone-number-id/phone-number-id-1"
    ));
    let unknown = conditional.replace("HasPhoneNumber", "HasNothing");
    let message = statements(&unknown, "").unwrap_err();
    assert!(
        message.contains("there is no condition HasNothing"),
        "{message}"
    );
}
