//! CloudFormation's functions and conditions.

use super::*;

/// A function with an environment that shows the results of CloudFormation's functions.
fn environment(lines: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let source = format!(
        "
Parameters:
  Stage: {{Type: String, Default: prod}}
  Zones: {{Type: CommaDelimitedList, Default: 'a, b'}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsTest: !Not [Condition: IsProd]
  Both: !And [!Condition IsProd, {{'Fn::Or': [!Condition IsTest, !Condition IsProd]}}]
  Circle: !Condition Circle
Resources:
  OrdersQueue: {{Type: AWS::SQS::Queue}}
  AlertsTopic: {{Type: AWS::SNS::Topic}}
  OrdersFunction:
    Type: AWS::Serverless::Function
    Metadata: {{BuildProperties: {{Binary: orders}}}}
    Properties:
      Environment:
        Variables:
{lines}
"
    );
    Ok(read(&source, &[])?.functions.remove(0).environment)
}

#[test]
fn functions_of_cloudformation_are_resolved() {
    let resolved = environment(
        "
          REF: {Ref: OrdersQueue}
          TOPIC: !Ref AlertsTopic
          ARN: !GetAtt OrdersQueue.Arn
          ARN_LONG: {'Fn::GetAtt': [OrdersQueue, QueueName]}
          SUB: !Sub 'a/${Stage}/${OrdersQueue.QueueName}/${AWS::Region}/${!literal}'
          SUB_MAP: !Sub ['${Name}-${Stage}', {Name: !Ref Stage}]
          JOIN: !Join [':', [arn, !Ref 'AWS::Partition', {Ref: Stage}]]
          SELECT: !Select [1, !Ref Zones]
          SPLIT: !Select [0, !Split ['-', x-y]]
          IF: !If [Both, !If [IsTest, t, p], no]
          NONE: !If [IsTest, t, !Ref AWS::NoValue]
          NUMBER: 604800
          FLAG: true
          TEXT: '007'
",
    )
    .unwrap();
    let expected = [
        ("REF", "http://127.0.0.1:4566/000000000000/orders"),
        ("TOPIC", "arn:aws:sns:us-east-1:000000000000:alerts"),
        ("ARN", "arn:aws:sqs:us-east-1:000000000000:orders"),
        ("ARN_LONG", "orders"),
        ("SUB", "a/prod/orders/us-east-1/${literal}"),
        ("SUB_MAP", "prod-prod"),
        ("JOIN", "arn:aws:prod"),
        ("SELECT", "b"),
        ("SPLIT", "x"),
        ("IF", "p"),
        ("NUMBER", "604800"),
        ("FLAG", "true"),
        ("TEXT", "007"),
    ];
    assert_eq!(resolved, given(&expected));
}

#[test]
fn a_wrong_call_of_a_cloudformation_function_is_refused_where_it_stands() {
    let at = "Resources.OrdersFunction.Properties.Environment.Variables.X";
    for (line, expected) in [
        (
            "X: !FindInMap [A, B, C]",
            "the function FindInMap is not supported",
        ),
        (
            "X: !Ref Nobody",
            "Nobody is neither a parameter nor a resource",
        ),
        ("X: !GetAtt Nobody.Arn", "Nobody is not a resource"),
        (
            "X: !GetAtt OrdersQueue.Color",
            "supported: Arn, QueueName, QueueUrl",
        ),
        ("X: !Sub '${Stage'", "a ${ without its }"),
        ("X: !If [Nothing, a, b]", "there is no condition Nothing"),
        (
            "X: !If [Circle, a, b]",
            "the condition Circle refers to itself",
        ),
        ("X: !Select [9, [a]]", "!Select 9 of a list of 1"),
        ("X: [a]", "must be a text or a number"),
    ] {
        let message = environment(&format!("          {line}")).unwrap_err();
        assert!(message.contains(expected), "{message}");
        assert!(
            message.starts_with("19: ") || message.contains("Circle"),
            "{message}"
        );
        assert!(
            message.contains(at) || message.contains("Circle"),
            "{message}"
        );
    }
}
