"""The known differences from moto, each with its reason from AWS's documents.

`EVERYWHERE` holds a pattern for each habit of moto that shows in many steps. `STEPS` holds, for a
group of steps, exactly what the comparison prints. DEVELOPER is the DynamoDB developer guide, and
API is the service's API reference, both at https://docs.aws.amazon.com.
"""

import re
from decimal import Decimal

# reason: pattern of `step: place: ours | moto's`
EVERYWHERE = {
    # DynamoDB API, ReturnConsumedCapacity: NONE is the default.
    "moto counts capacity that no request asks for":
        r"dynamodb: .*: answer\.ConsumedCapacity: absent \| .*",
    # DynamoDB API, ReturnItemCollectionMetrics: NONE is the default.
    "moto gives metrics of collections that no request asks for":
        r"dynamodb: .*: answer\.ItemCollectionMetrics: absent \| \{\}",
    # DEVELOPER, data types, Number: leading and trailing zeros are trimmed.
    "moto keeps a number as it was written":
        r"dynamodb: .*\.N: (?P<ours>\S+) \| (?P<motos>\S+)",
    # SQS API, examples of SendMessageBatch: a list without entries is absent.
    "moto writes an empty list where SQS writes none":
        r"sqs: .*: answer\.(Failed|Successful): absent \| \[\]",
    # Secrets Manager API, CreateSecret: six random characters end an ARN. The local system leaves
    # them away, because the template's references must be known before anything starts.
    "the local ARN of a secret has no random suffix":
        r"secrets: .*\.ARN: (?P<arn>arn:\S+) \| (?P=arn)-<random>",
    # Secrets Manager API, GetSecretValue: ResourceNotFoundException has the status 400.
    "moto answers 404 for an absent secret":
        r"secrets: .*: status: 400 \| 404",
}

# What the comparison prints of a batch's first entry, which is good.
GOOD_BODY = (
    '{"Id": "0", "MD5OfMessageBody": "755f85c2723bb39381c7379a604160d8", '
    '"MessageId": "<random>"}'
)


def second_failed(code, md5):
    """SQS fails the second entry of a batch, and moto sends it."""
    second = f'{{"Id": "1", "MD5OfMessageBody": "{md5}", "MessageId": "<random>"}}'
    return [
        f'answer.Failed: [{{"Code": "{code}", "Id": "1", "SenderFault": true}}] | []',
        f"answer.Successful: [{GOOD_BODY}] | [{GOOD_BODY}, {second}]",
    ]


# (reason, what the comparison prints, service, steps)
STEPS = [
    (
        "DEVELOPER, constraints, naming rules and expressions: DynamoDB refuses each of these.",
        ["ValidationException | accepted"],
        "dynamodb",
        [
            "get with a key of another type", "query between what is reversed", "filter by a key",
            "write 26 items", "write no item", "put and delete one item", "get no item",
            "get of no table", "write to no table", "a token that is too long",
            "a transaction of none", "read one item twice in a transaction",
            f"put the number `{'1' * 39}`", "put the number `1E126`", "put the number `1_000`",
            "put equal numbers in a set", "an update to more than 400 KiB",
            "put a text twice in a set", "put a value of two types", "put an empty name in a map",
            "expression: an unused value", "expression: no expression", "expression: 4097 bytes",
            "values without an expression", "project overlapping paths",
        ],
    ),
    (
        "moto breaks on requests that DynamoDB refuses.",
        ["ValidationException | 500"],
        "dynamodb",
        [
            "a page of none", "a start key that lacks the sort key", "query with OR",
            "put a value of no type", "expression: an undefined value",
            "expression: undefined values alone", "expression: an undefined name",
            "expression: half an expression", "expression: a function with too few arguments",
            "expression: size by itself", "expression: brackets that stay open",
            "expression: a literal",
        ],
    ),
    (
        "DEVELOPER, operators and functions: these are wrong requests, not lost conditions.",
        ["ValidationException | ConditionalCheckFailedException"],
        "dynamodb",
        [
            "expression: begins_with a number", "expression: between reversed bounds",
            "expression: a name without a hash", "old and new conditions together",
            "expression: one operand twice under two names",
            "expression: attribute_type of an unknown type",
            "expression: attribute_type of a number",
        ],
    ),
    (
        "DEVELOPER, constraints, expression parameters: 300 operators and functions, 100 operands"
        " of IN, and 255 bytes of a placeholder are the most.",
        ["ValidationException | ConditionalCheckFailedException"],
        "dynamodb",
        [
            "expression: 301 operators", "expression: IN of 101 operands",
            "expression: a placeholder of 256 bytes",
        ],
    ),
    (
        "API, Query and naming rules: the request is wrong, and the table is not looked for.",
        ["ValidationException | ResourceNotFoundException"],
        "dynamodb",
        ["query an absent index", "a table's name of two letters"],
    ),
    (
        "DEVELOPER, read consistency: a consistent read of up to 4 KB costs a whole unit.",
        ["answer.ConsumedCapacity.CapacityUnits: 1.0 | 0.5"],
        "dynamodb",
        ["get and count what it costs"],
    ),
    (
        "DEVELOPER, comparison operators: values of two types are not comparable, so it is false.",
        ["ConditionalCheckFailedException | 500"],
        "dynamodb",
        ["condition: a comparison of types"],
    ),
    (
        "`size` counts units of 16 bits, of which an emoji has two. DEVELOPER says `length` alone;"
        " https://github.com/ExtendDB/extenddb/pull/67 tried it on AWS.",
        ["ConditionalCheckFailedException | accepted"],
        "dynamodb",
        ["condition: size of a text"],
    ),
    (
        "The same: moto counts characters.",
        ["accepted | ConditionalCheckFailedException"],
        "dynamodb",
        ["condition: size of a text in units of 16 bits"],
    ),
    (
        "DEVELOPER, functions: `contains (a, a)` is an error. The error's text speaks of every"
        " operator and function, and the tests of dynalite have tried each on AWS.",
        ["ValidationException | accepted"],
        "dynamodb",
        ["expression: one operand twice", "expression: one operand twice in a function"],
    ),
    (
        "API, UpdateTimeToLive: another call within the hour is refused.",
        ["ValidationException | accepted"],
        "dynamodb",
        ["switch the time to live on again", "move the time to live"],
    ),
    (
        "API, UpdateItem: UPDATED_NEW has the updated attributes alone, without the key.",
        [
            'answer.Attributes.coupon: absent | {"S": "c"}',
            'answer.Attributes.entry: absent | {"S": "count"}',
        ],
        "dynamodb",
        ["add and return UPDATED_NEW"],
    ),
    (
        "API, UpdateItem: UPDATED_OLD has an attribute that is set to the value that it has.",
        ['answer.Attributes.undispatched: {"S": "yes"} | absent'],
        "dynamodb",
        ["add and return UPDATED_OLD"],
    ),
    (
        "API, UpdateItem: the expression is optional.",
        ["accepted | 500"],
        "dynamodb",
        ["an update of nothing makes an item"],
    ),
    (
        "API, Query: a page that its limit ends has the last key, whether more follows or not. AWS"
        " itself answers so or so, and a reader must take both.",
        ['answer.LastEvaluatedKey: {"coupon": {"S": "q"}, "entry": {"S": "used#5"}} | absent'],
        "dynamodb",
        ["a page that ends with the items"],
    ),
    (
        "API, BatchWriteItem: a batch with a wrong key is refused whole, so it wrote nothing.",
        [
            "answer.Responses.witness-<run>: [] | "
            '[{"coupon": {"S": "b"}, "entry": {"S": "y"}, "n": {"N": "1"}}]'
        ],
        "dynamodb",
        ["what a bad batch wrote"],
    ),
    (
        "API, TransactWriteItems: one token means one transaction, and other items mismatch.",
        ["IdempotentParameterMismatchException | accepted"],
        "dynamodb",
        ["another transaction with that token"],
    ),
    (
        "API, TransactWriteItems, cancellation reasons: a wrong key or operand is a reason.",
        ["TransactionCanceledException | ValidationException"],
        "dynamodb",
        ["a transaction with a bad key", "a transaction adds a text"],
    ),
    (
        "DEVELOPER, attribute names in expressions: a name may stand before an index. To moto,"
        " it is unused there.",
        ["accepted | ValidationException"],
        "dynamodb",
        ["get some attributes"],
    ),
    (
        "DEVELOPER, constraints: 400 KB are 409,600 bytes, with the names. moto takes fewer.",
        ["accepted | ValidationException"],
        "dynamodb",
        ["an item of 400 KiB", "an item of two-byte letters"],
    ),
    (
        "API, SetQueueAttributes: each attribute has its bounds.",
        ["InvalidAttributeValue | accepted"],
        "sqs",
        [
            "set a visibility above 12 hours", "set a delay above 15 minutes",
            "set a retention below a minute", "set a wait above 20 seconds",
        ],
    ),
    (
        "API, SetQueueAttributes, errors: InvalidAttributeValue.",
        ["InvalidAttributeValue | 500"],
        "sqs",
        ["set a visibility that is no number"],
    ),
    (
        "API, SetQueueAttributes, errors: InvalidAttributeName.",
        ["InvalidAttributeName | accepted"],
        "sqs",
        ["set an unknown attribute"],
    ),
    (
        "API, SendMessage: the answer has a digest of the system attributes.",
        ["answer.MD5OfMessageSystemAttributes: 62a56dd927315f2b2e12832b84617ea5 | absent"],
        "sqs",
        ["send with attributes"],
    ),
    (
        "API, SendMessage and ChangeMessageVisibility: SQS refuses each of these.",
        ["InvalidParameterValue | accepted"],
        "sqs",
        [
            "hide for less than no time", "send an empty attribute",
            "send an attribute of a reserved name", "send eleven attributes",
            "send a group of a bad name", "send a group of 129 letters",
            "send a deduplication id", "send a delay below zero", "a policy of no receive",
        ],
    ),
    (
        "API, SendMessage: a body has at least one character.",
        ["MissingParameter | accepted"],
        "sqs",
        ["send an empty body"],
    ),
    (
        "API, SendMessage: a body has only characters that XML has.",
        ["InvalidMessageContents | accepted"],
        "sqs",
        ["send a control character", "send a character outside XML"],
    ),
    (
        "API, ChangeMessageVisibilityBatch, errors: EmptyBatchRequest.",
        ["AWS.SimpleQueueService.EmptyBatchRequest | accepted"],
        "sqs",
        ["change an empty batch"],
    ),
    (
        "API, both operations, errors: TooManyEntriesInBatchRequest.",
        ["AWS.SimpleQueueService.TooManyEntriesInBatchRequest | accepted"],
        "sqs",
        ["change a batch of eleven", "delete a batch of eleven"],
    ),
    (
        "API, ChangeMessageVisibilityBatch, errors: BatchEntryIdsNotDistinct.",
        ["AWS.SimpleQueueService.BatchEntryIdsNotDistinct | accepted"],
        "sqs",
        ["change a batch with an id twice"],
    ),
    (
        "The handle is well formed, and its message is gone: the parameter's value is wrong.",
        ["InvalidParameterValue | ReceiptHandleIsInvalid"],
        "sqs",
        ["hide what is deleted"],
    ),
    (
        "The policy is a parameter of the request, and names a dead-letter queue that is absent.",
        ["InvalidParameterValue | AWS.SimpleQueueService.NonExistentQueue"],
        "sqs",
        ["a dead-letter queue that is absent"],
    ),
    (
        "moto breaks on a policy that SQS refuses.",
        ["InvalidParameterValue | 500"],
        "sqs",
        ["a policy that is no JSON"],
    ),
    (
        "API, ReceiveMessage: a dead letter names the queue that it came from.",
        [
            "answer.Messages[0].Attributes.DeadLetterQueueSourceArn: "
            "arn:aws:sqs:us-east-1:000000000000:witness-dying-<run> | absent"
        ],
        "sqs",
        ["the dead letter"],
    ),
    (
        "API, StartMessageMoveTask, errors: ResourceNotFoundException.",
        ["ResourceNotFoundException | 500"],
        "sqs",
        ["redrive to an absent queue", "redrive from an absent queue"],
    ),
    (
        "API, Publish: one of TopicArn, TargetArn and PhoneNumber is needed.",
        ["InvalidParameter | ResponseParserError"],
        "sns",
        ["publish to nobody"],
    ),
    (
        "API, Publish: a subject has less than 100 characters and no line break; a phone is E.164.",
        ["InvalidParameter | accepted"],
        "sns",
        [
            "publish to a topic and a phone", "publish nothing",
            "publish a subject of 100 letters", "publish a subject of two lines",
            "publish to a phone without a plus", "publish a text message of an unknown kind",
        ],
    ),
    (
        "API, MessageAttributeValue: the name, the type and the value count as the message does.",
        ["InvalidParameter | accepted"],
        "sns",
        ["publish 256 KiB with the type of an attribute"],
    ),
    (
        "API, Publish, errors: ParameterValueInvalid is for a value that breaks a constraint.",
        ["ParameterValueInvalid | InvalidParameter"],
        "sns",
        [
            "publish a number that is none", "publish an empty attribute",
            "publish an attribute of an unknown type",
        ],
    ),
    (
        "API v2, SendEmail: BadRequestException is for input that is wrong. MessageRejected is for"
        " content, and for senders that are not verified.",
        ["BadRequestException | MessageRejected"],
        "ses",
        ["send to fifty-one", "send from what is no address", "send from nobody"],
    ),
    (
        "API v2, SendEmail, errors: InvalidParameterValue is an error of v1.",
        ["BadRequestException | InvalidParameterValue"],
        "ses",
        ["send to what is no address", "send to an empty address"],
    ),
    (
        "API v2, MessageTag, MessageHeader and Destination: SES refuses each of these.",
        ["BadRequestException | accepted"],
        "ses",
        [
            "send to nobody", "send a tag of a bad name", "send a tag of a bad value",
            "send replies to what is no address", "send a header of a bad name",
            "send a header of two lines",
        ],
    ),
    (
        "moto breaks on requests that SES refuses. The local system has no templates of SES.",
        ["BadRequestException | 500"],
        "ses",
        ["send no content", "send no body", "send no subject", "send an absent template"],
    ),
    (
        "API, TransactWriteItems: a request that repeats its token changes nothing.",
        ["answer.Item.n.N: 1 | 2"],
        "dynamodb",
        ["a token counts once"],
    ),
    (
        "API, SendMessageBatch: a wrong body fails its own entry.",
        second_failed("InvalidMessageContents", "08be4e88595d429bb0417db0c13a1794"),
        "sqs",
        ["send a batch with one bad body"],
    ),
    (
        "API, SendMessageBatch: an empty body fails its own entry.",
        second_failed("MissingParameter", "d41d8cd98f00b204e9800998ecf8427e"),
        "sqs",
        ["send a batch with an empty body"],
    ),
    (
        "The local system has no BatchGetSecretValue, and says so. No function calls it.",
        ["UnknownOperationException | accepted"],
        "secrets",
        ["get two, one of them absent"],
    ),
    (
        "API, PutSecretValue: a value is either a text or binary.",
        ["InvalidParameterException | accepted"],
        "secrets",
        ["put two values"],
    ),
    (
        "API, CreateSecret and PutSecretValue: a name has an alphabet, and a name and a value have"
        " a length.",
        ["ValidationException | accepted"],
        "secrets",
        ["create a bad name", "create no name", "put 64 KiB and a byte"],
    ),
]


def habits(step, lines, seen):
    """The lines that no habit of moto explains. Adds the habits that it meets to `seen`."""
    kept = []
    for line in lines:
        for reason, pattern in EVERYWHERE.items():
            found = re.fullmatch(pattern, f"{step}: {line}")
            numbers = found.groupdict() if found else {}
            if found and ("motos" not in numbers or is_equal(numbers)):
                seen.add(reason)
                break
        else:
            kept.append(line)
    return kept


def is_equal(numbers):
    """Whether ours is moto's number without needless zeros and signs."""
    ours, motos = numbers["ours"], numbers["motos"]
    return Decimal(ours) == Decimal(motos) and ours == written(Decimal(motos))


def written(number):
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if not number else text


def by_step():
    listed = {}
    for _, lines, service, steps in STEPS:
        for step in steps:
            assert f"{service}: {step}" not in listed, f"`{step}` is listed twice"
            listed[f"{service}: {step}"] = lines
    return listed
