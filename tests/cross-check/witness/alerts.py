"""SNS: alerts to a topic, and text messages to a phone."""

TOPIC = "arn:aws:sns:us-east-1:000000000000:cross-check"
PHONE = "+5511987654321"
KIB = 1024


def text(value):
    return {"DataType": "String", "StringValue": value}


def play(side):
    # The local system has the template's topics alone. moto has only what is created.
    topics = side.sns.list_topics()["Topics"]
    if TOPIC not in [topic["TopicArn"] for topic in topics]:
        side.sns.create_topic(Name=TOPIC.rsplit(":", 1)[1])

    def publish(name, **arguments):
        side.step(f"sns: publish {name}", side.sns.publish, **{"Message": "m"} | arguments)

    publish("an alert", TopicArn=TOPIC, Subject="Low stock", Message='{"left": 2}')
    publish("with attributes", TopicArn=TOPIC, MessageAttributes={
        "event": text("zupy#1"), "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "count": {"DataType": "Number", "StringValue": "2"},
    })
    publish("by the target", TargetArn=TOPIC)
    publish("256 KiB", TopicArn=TOPIC, Message="x" * 256 * KIB)
    publish("a text message", PhoneNumber=PHONE, Message="Promoção & <CP-1> +")
    publish("a text message of a kind", PhoneNumber=PHONE, MessageAttributes={
        "AWS.SNS.SMS.SMSType": text("Transactional"), "AWS.SNS.SMS.SenderID": text("Cupons"),
    })
    for name, arguments in {
        "to an absent topic": {"TopicArn": f"{TOPIC}-absent"},
        "to what is no ARN": {"TopicArn": "cross-check"},
        "to nobody": {},
        "to a topic and a phone": {"TopicArn": TOPIC, "PhoneNumber": PHONE},
        "nothing": {"TopicArn": TOPIC, "Message": ""},
        "256 KiB and a byte": {"TopicArn": TOPIC, "Message": "x" * (256 * KIB + 1)},
        "256 KiB with the type of an attribute": {
            "TopicArn": TOPIC, "Message": "x" * (256 * KIB - len("event") - 1),
            "MessageAttributes": {"event": text("x")}},
        "a subject of 100 letters": {"TopicArn": TOPIC, "Subject": "x" * 100},
        "a subject of 101 letters": {"TopicArn": TOPIC, "Subject": "x" * 101},
        "an empty subject": {"TopicArn": TOPIC, "Subject": ""},
        "a subject of two lines": {"TopicArn": TOPIC, "Subject": "a\nb"},
        "a number that is none": {"TopicArn": TOPIC, "MessageAttributes": {
            "count": {"DataType": "Number", "StringValue": "two"}}},
        "an empty attribute": {"TopicArn": TOPIC, "MessageAttributes": {"event": text("")}},
        "an attribute of an unknown type": {"TopicArn": TOPIC, "MessageAttributes": {
            "event": {"DataType": "Text", "StringValue": "x"}}},
        "a group to a standard topic": {"TopicArn": TOPIC, "MessageGroupId": "g"},
        "to a phone without a plus": {"PhoneNumber": "11987654321"},
        "to a phone that is none": {"PhoneNumber": "Ana"},
        "a text message of 1601 letters": {"PhoneNumber": PHONE, "Message": "x" * 1601},
        "a text message of an unknown kind": {"PhoneNumber": PHONE, "MessageAttributes": {
            "AWS.SNS.SMS.SMSType": text("Urgent")}},
    }.items():
        publish(name, **arguments)
    attributes = side.sns.get_topic_attributes
    side.step("sns: the attributes of an absent topic", attributes, TopicArn=f"{TOPIC}-absent")
