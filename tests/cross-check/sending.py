#!/usr/bin/env python3
"""Sends through every channel of the local system with boto3, an independent client, and checks the kept messages.

    python3 tests/cross-check/sending.py --url http://127.0.0.1:3000 --endpoint-url http://127.0.0.1:4566

Needs boto3 and a system whose template has the topic `cross-check`. Exits with 0 if every check passed.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PHONE_NUMBER_ID = "phone-number-id-01234567890123456789012345678901"
TOPIC = "arn:aws:sns:us-east-1:000000000000:cross-check"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def expect(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def refused(call, code, status, **arguments):
    """Checks that the call ends in a ClientError with this code and status."""
    try:
        call(**arguments)
    except ClientError as error:
        actual = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        expect(actual, (code, status))
        return error.response
    raise AssertionError(f"was not refused as {code}")


class System:
    def __init__(self, url, endpoint_url):
        self.url = url
        self.endpoint_url = endpoint_url
        self.sns = self.client("sns")
        self.social = self.client("socialmessaging")
        self.ses = self.client("sesv2")

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="cross-check",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def last(self):
        with urllib.request.urlopen(f"{self.url}/_local/messages", timeout=30) as answer:
            return json.load(answer)[-1]

    def fault(self, **fault):
        body = json.dumps({"count": 1, **fault}).encode()
        request = urllib.request.Request(f"{self.url}/_local/faults", data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            expect(answer.status, 201)

    def post(self, path, body):
        """Posts to a game's server. Returns the status and the headers."""
        headers = {"Content-Type": "application/json", "webhook-id": "msg_1", "webhook-signature": "v1,abc="}
        request = urllib.request.Request(f"{self.endpoint_url}{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers


def text(value):
    return {"DataType": "String", "StringValue": value}


@check
def sns_sends_a_text_message(system):
    attributes = {
        "AWS.SNS.SMS.SMSType": text("Transactional"),
        "AWS.SNS.SMS.SenderID": text("Cupons"),
        "event": text("zupy#1"),
        "picture": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    message = "Promoção & cupom <CP-1> = 10% + grátis"
    answer = system.sns.publish(PhoneNumber="+5511987654321", Message=message, MessageAttributes=attributes)
    sent = system.last()
    expect(sent["message_id"], answer["MessageId"])
    expect((sent["channel"], sent["from"], sent["to"]), ("sms", "Cupons", "+5511987654321"))
    expect((sent["text"], sent["event"]), (message, "zupy#1"))
    expect((sent["sms"]["type"], sent["sms"]["encoding"], sent["sms"]["parts"]), ("Transactional", "UCS-2", 1))


@check
def sns_refuses_text_messages_by_name(system):
    publish = system.sns.publish
    response = refused(publish, "InvalidParameter", 400, PhoneNumber="11987654321", Message="x")
    assert "11987654321 is not valid to publish to" in response["Error"]["Message"], response
    refused(publish, "InvalidParameter", 400, PhoneNumber="+5511987654321", Message="x" * 1601)
    refused(publish, "InvalidParameter", 400, Message="x")
    attributes = {"AWS.SNS.SMS.SMSType": text("Urgent")}
    refused(publish, "InvalidParameter", 400, PhoneNumber="+5511987654321", Message="x", MessageAttributes=attributes)


@check
def sns_publishes_to_a_topic(system):
    topics = [topic["TopicArn"] for topic in system.sns.list_topics()["Topics"]]
    assert TOPIC in topics, topics
    attributes = system.sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]
    expect((attributes["TopicArn"], attributes["Owner"]), (TOPIC, "000000000000"))
    answer = system.sns.publish(
        TopicArn=TOPIC, Subject="Low stock", Message='{"left": 2}', MessageAttributes={"event": text("zupy#2")}
    )
    sent = system.last()
    expect(sent["message_id"], answer["MessageId"])
    expect((sent["channel"], sent["to"], sent["subject"]), ("topic", TOPIC, "Low stock"))
    expect((sent["text"], sent["event"], sent["topic"]["topic"]), ('{"left": 2}', "zupy#2", "cross-check"))


@check
def sns_refuses_alerts_by_name(system):
    publish = system.sns.publish
    refused(publish, "NotFound", 404, TopicArn=f"{TOPIC}-absent", Message="x")
    refused(publish, "InvalidParameter", 400, TopicArn=TOPIC, Message="x" * (256 * 1024 + 1))
    refused(publish, "InvalidParameter", 400, TopicArn=TOPIC, Message="x", Subject="x" * 100)
    bad = {"count": {"DataType": "Number", "StringValue": "two"}}
    refused(publish, "ParameterValueInvalid", 400, TopicArn=TOPIC, Message="x", MessageAttributes=bad)
    refused(system.sns.create_topic, "InvalidAction", 400, Name="x")


def whatsapp(**more):
    template = {
        "name": "coupon_redeemed",
        "language": {"code": "pt_BR"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}],
    }
    message = {"messaging_product": "whatsapp", "to": "+5511987654321", "type": "template", "template": template}
    return {
        "originationPhoneNumberId": PHONE_NUMBER_ID,
        "metaApiVersion": "v20.0",
        "message": json.dumps({**message, **more}).encode(),
    }


@check
def whatsapp_sends_a_template(system):
    answer = system.social.send_whatsapp_message(**whatsapp(biz_opaque_callback_data="zupy#3"))
    sent = system.last()
    expect(sent["message_id"], answer["messageId"])
    expect((sent["channel"], sent["from"], sent["event"]), ("whatsapp", PHONE_NUMBER_ID, "zupy#3"))
    detail = sent["whatsapp"]
    expect((detail["template"], detail["language"]), ("coupon_redeemed", "pt_BR"))
    expect(detail["parameters"], [{"component": "body", "name": "1", "text": "Ana"}])


@check
def whatsapp_refuses_by_name(system):
    send = system.social.send_whatsapp_message
    refused(send, "InvalidParametersException", 400, **whatsapp(to="Ana"))
    refused(send, "InvalidParametersException", 400, **whatsapp(type="telegram"))
    refused(send, "InvalidParametersException", 400, **{**whatsapp(), "message": b"{"})
    refused(send, "ValidationException", 400, **{**whatsapp(), "originationPhoneNumberId": "+5511987654321"})


def email(**more):
    body = {"Text": {"Data": "É CP-1", "Charset": "UTF-8"}}
    content = {"Simple": {"Subject": {"Data": "Cupom"}, "Body": body}}
    message = {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["ana@example.org"]},
        "Content": content,
        "ReplyToAddresses": ["help@example.com"],
        "ConfigurationSetName": "coupons",
        "EmailTags": [{"Name": "task", "Value": "delivery"}],
    }
    return {**message, **more}


@check
def ses_keeps_reply_to_and_configuration_set(system):
    system.ses.send_email(**email())
    sent = system.last()
    expect((sent["channel"], sent["text"]), ("email", "É CP-1"))
    expect(sent["email"]["reply_to"], ["help@example.com"])
    expect(sent["email"]["configuration_set"], "coupons")
    expect(sent["email"]["tags"], {"task": "delivery"})


@check
def ses_refuses_an_odd_configuration_set_and_reply_to(system):
    refused(system.ses.send_email, "BadRequestException", 400, **email(ConfigurationSetName="two words"))
    refused(system.ses.send_email, "BadRequestException", 400, **email(ReplyToAddresses=["help"]))


@check
def each_service_throttles_and_fails_in_its_own_words(system):
    sms = {"PhoneNumber": "+5511987654321", "Message": "x"}
    for service, call, arguments, throttled, failed in (
        ("sns", system.sns.publish, sms, ("Throttling", 400), ("InternalError", 500)),
        (
            "social-messaging",
            system.social.send_whatsapp_message,
            whatsapp(),
            ("ThrottledRequestException", 429),
            ("InternalServiceException", 500),
        ),
        ("ses", system.ses.send_email, email(), ("TooManyRequestsException", 429), ("InternalFailure", 500)),
    ):
        system.fault(service=service, mode="throttle")
        refused(call, *throttled, **arguments)
        system.fault(service=service, mode="fail")
        refused(call, *failed, **arguments)
        call(**arguments)


@check
def a_game_server_keeps_a_request(system):
    body = '{"código": "CP-1"}'.encode()
    status, _ = system.post("/_local/game-server/gm_1", body)
    sent = system.last()
    expect((status, sent["channel"], sent["event"]), (200, "game-server", "msg_1"))
    request = sent["game-server"]
    expect(request["url"], f"{system.endpoint_url}/_local/game-server/gm_1")
    expect((request["body"].encode(), request["headers"]["webhook-signature"]), (body, "v1,abc="))
    system.fault(service="game-server", mode="throttle")
    status, headers = system.post("/_local/game-server", body)
    expect((status, headers["Retry-After"]), (429, "2"))
    system.fault(service="game-server", mode="fail", status=410)
    expect(system.post("/_local/game-server", body)[0], 410)


@check
def a_service_that_speaks_forms_and_is_not_there_says_what_is(system):
    response = refused(system.client("sts").get_caller_identity, "UnknownOperationException", 404)
    assert "This endpoint serves DynamoDB" in response["Error"]["Message"], response


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--endpoint-url", required=True)
    arguments = parser.parse_args()
    system = System(arguments.url, arguments.endpoint_url)
    failed = 0
    for function in CHECKS:
        try:
            function(system)
            print(f"ok      {function.__name__}")
        except Exception as error:  # A failure ends its own check alone.
            failed += 1
            print(f"FAILED  {function.__name__}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
