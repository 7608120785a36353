"""SQS: sending, receiving, visibility, deletion, attributes, limits and dead-letter queues."""

import json

MIB = 1_048_576
NOBODYS = "AQEBnobody"


def play(side):
    names = ("witness", "witness-odd", "witness-dead", "witness-dying")
    urls = {}
    for name in names:
        full = f"{name}-{side.run}"
        urls[name] = side.sqs.create_queue(QueueName=full)["QueueUrl"]
    try:
        odd_attributes(side, urls["witness-odd"])
        for part in (queues, sends, batches, receives, visibility, refusals):
            part(side, urls["witness"])
        redrive(side, urls["witness-dying"], urls["witness-dead"])
    finally:
        for url in urls.values():
            side.sqs.delete_queue(QueueUrl=url)


def step(side, name, operation, url=None, **arguments):
    if url is not None:
        arguments["QueueUrl"] = url
    return side.step(f"sqs: {name}", getattr(side.sqs, operation), **arguments)


def receive(side, name, url, **arguments):
    arguments = {"MaxNumberOfMessages": 10} | arguments
    return step(side, name, "receive_message", url, **arguments).get("Messages", [])


def drain(side, url):
    """Empties the queue between parts, outside the comparison."""
    most = {"QueueUrl": url, "MaxNumberOfMessages": 10}
    while messages := side.sqs.receive_message(**most).get("Messages"):
        for message in messages:
            side.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def counts(side, name, url):
    kinds = ("", "NotVisible", "Delayed")
    asked = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    step(side, name, "get_queue_attributes", url, AttributeNames=asked)


def text(value):
    return {"DataType": "String", "StringValue": value}


def queues(side, url):
    name = url.rsplit("/", 1)[1]
    step(side, "the url of a queue", "get_queue_url", QueueName=name)
    step(side, "the url of an absent queue", "get_queue_url", QueueName="absent")
    step(side, "a queue again", "create_queue", QueueName=name)
    step(side, "a queue again with other attributes", "create_queue", QueueName=name,
         Attributes={"VisibilityTimeout": "61"})
    step(side, "list the queues", "list_queues", QueueNamePrefix=f"witness-{side.run}")
    step(side, "list no queues", "list_queues", QueueNamePrefix="absent")
    kept = ["VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "QueueArn",
            "ReceiveMessageWaitTimeSeconds"]
    step(side, "attributes by name", "get_queue_attributes", url, AttributeNames=kept)
    step(side, "the most that a body may have", "get_queue_attributes", url,
         AttributeNames=["MaximumMessageSize"])
    step(side, "attributes of no name", "get_queue_attributes", url)
    step(side, "an unknown attribute", "get_queue_attributes", url, AttributeNames=["Color"])
    step(side, "set an attribute", "set_queue_attributes", url,
         Attributes={"VisibilityTimeout": "45"})
    step(side, "an attribute that was set", "get_queue_attributes", url,
         AttributeNames=["VisibilityTimeout"])
    step(side, "tag a queue", "tag_queue", url, Tags={"a": "1", "b": "2"})
    step(side, "untag a queue", "untag_queue", url, TagKeys=["a"])
    step(side, "the tags of a queue", "list_queue_tags", url)
    step(side, "a queue of a bad name", "create_queue", QueueName="a b")
    step(side, "a queue of a name of 81 letters", "create_queue", QueueName="x" * 81)


def odd_attributes(side, url):
    """On a queue of their own, because moto takes some of them."""
    step(side, "set an unknown attribute", "set_queue_attributes", url, Attributes={"Color": "red"})
    for title, attributes in {
        "a visibility above 12 hours": {"VisibilityTimeout": "43201"},
        "a delay above 15 minutes": {"DelaySeconds": "901"},
        "a retention below a minute": {"MessageRetentionPeriod": "59"},
        "a wait above 20 seconds": {"ReceiveMessageWaitTimeSeconds": "21"},
        "a visibility that is no number": {"VisibilityTimeout": "long"},
    }.items():
        step(side, f"set {title}", "set_queue_attributes", url, Attributes=attributes)


def sends(side, url):
    trace = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    step(side, "send", "send_message", url, MessageBody="héllo \U0001f600")
    (message,) = receive(side, "receive", url)
    handle = message["ReceiptHandle"]
    counts(side, "the counts of one in flight", url)
    step(side, "delete", "delete_message", url, ReceiptHandle=handle)
    step(side, "delete again", "delete_message", url, ReceiptHandle=handle)
    counts(side, "the counts of an empty queue", url)
    attributes = {
        "shop.name": text("Bella Vista é"),
        "shop.size": {"DataType": "Number.int", "StringValue": "42"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    step(side, "send with attributes", "send_message", url, MessageBody="x",
         MessageAttributes=attributes, MessageSystemAttributes=trace)
    for title, asked in {
        "every attribute": ["All"], "attributes by prefix": ["shop.*"],
        "one attribute": ["raw"], "no attribute": [],
    }.items():
        receive(side, f"receive {title}", url, VisibilityTimeout=0, MessageAttributeNames=asked)
    receive(side, "receive the trace header", url, VisibilityTimeout=0,
            MessageSystemAttributeNames=["AWSTraceHeader"])
    receive(side, "receive the count of receives", url, VisibilityTimeout=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp",
                                         "ApproximateFirstReceiveTimestamp"])
    drain(side, url)
    step(side, "send to a fair group", "send_message", url, MessageBody="x",
         MessageGroupId="zupy#1")
    receive(side, "receive the group", url, MessageSystemAttributeNames=["MessageGroupId"],
            VisibilityTimeout=0)
    drain(side, url)
    step(side, "send later", "send_message", url, MessageBody="later", DelaySeconds=900)
    counts(side, "the counts of one delayed", url)
    receive(side, "a delayed message does not come", url)
    step(side, "purge", "purge_queue", url)
    counts(side, "the counts after a purge", url)


def entries(*bodies):
    return [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]


def batches(side, url):
    step(side, "send a batch", "send_message_batch", url, Entries=entries(*"abcdefghij"))
    messages = receive(side, "receive a batch", url)
    handles = [
        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
        for index, message in enumerate(messages)
    ]
    changed = [handle | {"VisibilityTimeout": 60} for handle in handles]
    step(side, "change a batch", "change_message_visibility_batch", url, Entries=changed)
    step(side, "delete a batch", "delete_message_batch", url, Entries=handles)
    counts(side, "the counts after a batch", url)
    half = "x" * (MIB // 2)
    for title, batch in {
        "an empty batch": [],
        "a batch of eleven": entries(*"abcdefghijk"),
        "a batch with an id twice": entries("a") * 2,
        "a batch with a bad id": [{"Id": "a b", "MessageBody": "x"}],
        "a batch with an id of 81 letters": [{"Id": "a" * 81, "MessageBody": "x"}],
        "a batch above 1 MiB": entries(half, half, "x"),
        "a batch with one bad body": entries("good", "bad\x00"),
        "a batch with an empty body": entries("good", ""),
        "a batch with a bad delay": [{"Id": "a", "MessageBody": "x", "DelaySeconds": 901}],
    }.items():
        step(side, f"send {title}", "send_message_batch", url, Entries=batch)
    drain(side, url)
    for operation, title in (
        ("delete_message_batch", "delete"),
        ("change_message_visibility_batch", "change"),
    ):
        step(side, f"{title} an empty batch", operation, url, Entries=[])
        more = {"VisibilityTimeout": 1} if title == "change" else {}
        eleven = [{"Id": str(n), "ReceiptHandle": f"x{n}"} | more for n in range(11)]
        step(side, f"{title} a batch of eleven", operation, url, Entries=eleven)
        step(side, f"{title} a batch with an id twice", operation, url, Entries=eleven[:1] * 2)
        step(side, f"{title} a batch of bad handles", operation, url, Entries=eleven[:2])


def receives(side, url):
    step(side, "send three", "send_message_batch", url, Entries=entries("x", "x", "x"))
    receive(side, "receive one of three", url, MaxNumberOfMessages=1)
    receive(side, "receive the others", url)
    receive(side, "receive none", url, WaitTimeSeconds=1)
    for title, arguments in {
        "no message": {"MaxNumberOfMessages": 0},
        "eleven messages": {"MaxNumberOfMessages": 11},
        "for too long": {"WaitTimeSeconds": 21},
        "for less than no time": {"WaitTimeSeconds": -1},
        "and hide for too long": {"VisibilityTimeout": 43201},
    }.items():
        receive(side, f"receive {title}", url, **arguments)
    side.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})


def visibility(side, url):
    def change(name, handle, timeout):
        step(side, name, "change_message_visibility", url, ReceiptHandle=handle,
             VisibilityTimeout=timeout)

    side.sqs.send_message(QueueUrl=url, MessageBody="hidden")
    (first,) = receive(side, "receive and hide", url, VisibilityTimeout=30)
    handle = first["ReceiptHandle"]
    receive(side, "what is hidden does not come", url)
    change("hide for longer", handle, 600)
    change("hide no longer", handle, 0)
    counts(side, "the counts of one that came back", url)
    (second,) = receive(side, "receive again", url, VisibilityTimeout=30,
                        MessageSystemAttributeNames=["ApproximateReceiveCount"])
    change("hide for too long", second["ReceiptHandle"], 43201)
    change("hide for less than no time", second["ReceiptHandle"], -1)
    change("hide by a bad handle", NOBODYS, 1)
    step(side, "delete by a bad handle", "delete_message", url, ReceiptHandle=NOBODYS)
    step(side, "delete by the newest handle", "delete_message", url,
         ReceiptHandle=second["ReceiptHandle"])
    change("hide what is deleted", second["ReceiptHandle"], 1)
    counts(side, "the counts of what was deleted", url)


def refusals(side, url):
    for title, arguments in {
        "an empty body": {"MessageBody": ""},
        "a control character": {"MessageBody": "\x1f"},
        "a character outside XML": {"MessageBody": "\ufffe"},
        "a body above 1 MiB": {"MessageBody": "x" * (MIB + 1)},
        "an empty attribute": {"MessageAttributes": {"a": text("")}},
        "an attribute of an unknown type": {
            "MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}
        },
        "an attribute of a reserved name": {"MessageAttributes": {"AWS.a": text("x")}},
        "eleven attributes": {"MessageAttributes": {f"a{n}": text("x") for n in range(11)}},
        "a group of a bad name": {"MessageGroupId": "a b"},
        "a group of 129 letters": {"MessageGroupId": "x" * 129},
        "a deduplication id": {"MessageDeduplicationId": "x"},
        "a delay above 15 minutes": {"DelaySeconds": 901},
        "a delay below zero": {"DelaySeconds": -1},
    }.items():
        step(side, f"send {title}", "send_message", url, **{"MessageBody": "x"} | arguments)
    absent = f"{url}-absent"
    step(side, "send to an absent queue", "send_message", absent, MessageBody="x")
    step(side, "receive from an absent queue", "receive_message", absent)
    step(side, "delete from an absent queue", "delete_message", absent, ReceiptHandle="x")
    step(side, "the attributes of an absent queue", "get_queue_attributes", absent)
    step(side, "send a batch to an absent queue", "send_message_batch", absent,
         Entries=entries("x"))
    step(side, "purge an absent queue", "purge_queue", absent)
    step(side, "delete an absent queue", "delete_queue", absent)


def redrive(side, dying, dead):
    arn = side.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    arn = arn["Attributes"]["QueueArn"]
    absent = f"{arn}-absent"

    def policy(name, **policy):
        step(side, name, "set_queue_attributes", dying,
             Attributes={"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "0"})

    policy("a dead-letter queue that is absent", deadLetterTargetArn=absent, maxReceiveCount=2)
    policy("a policy without its count", deadLetterTargetArn=arn)
    policy("a policy of no receive", deadLetterTargetArn=arn, maxReceiveCount=0)
    step(side, "a policy that is no JSON", "set_queue_attributes", dying,
         Attributes={"RedrivePolicy": "{"})
    policy("a dead-letter queue", deadLetterTargetArn=arn, maxReceiveCount=2)
    step(side, "the policy", "get_queue_attributes", dying, AttributeNames=["RedrivePolicy"])
    step(side, "the sources of a dead-letter queue", "list_dead_letter_source_queues", dead)
    side.sqs.send_message(QueueUrl=dying, MessageBody="dies", MessageAttributes={"a": text("x")})
    receive(side, "the first receive of two", dying)
    receive(side, "the last receive of two", dying)
    receive(side, "no third receive", dying)
    receive(side, "the dead letter", dead, MessageAttributeNames=["All"], VisibilityTimeout=0,
            MessageSystemAttributeNames=["DeadLetterQueueSourceArn", "ApproximateReceiveCount"])
    step(side, "redrive to an absent queue", "start_message_move_task", SourceArn=arn,
         DestinationArn=absent)
    step(side, "redrive from an absent queue", "start_message_move_task", SourceArn=absent)
