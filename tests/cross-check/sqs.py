#!/usr/bin/env python3
"""Checks the local SQS with boto3, an independent client.

    python3 tests/cross-check/sqs.py --endpoint-url http://127.0.0.1:4566

Creates its own queues and deletes them. Prints one line per check; exits with 1 if one failed.
boto3 itself compares the MD5 digests of bodies and attributes in every answer.
"""

import argparse
import json
import sys
import threading
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1_048_576
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def expect(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def expect_error(codes, call, **arguments):
    """Checks that the call fails with one of these error codes."""
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code in codes, f"expected {codes}, got {code}: {error}"
        expect(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return error
    raise AssertionError(f"succeeded, expected {codes}")


INVALID = ("InvalidParameterValue", "InvalidParameterValueException")
MISSING_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def batch_error(name):
    return (f"AWS.SimpleQueueService.{name}", name)


class Queues:
    """Queues for one check, deleted after it."""

    def __init__(self, client):
        self.client = client
        self.urls = []

    def create(self, **attributes):
        name = f"cross-check-{uuid.uuid4().hex[:12]}"
        attributes = {key: str(value) for key, value in attributes.items()}
        url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.urls.append(url)
        return url

    def create_with_dead_letters(self, max_receive_count=1, **attributes):
        dead = self.create()
        policy = {"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": max_receive_count}
        return self.create(RedrivePolicy=json.dumps(policy), **attributes), dead

    def arn(self, url):
        return self.attributes(url)["QueueArn"]

    def attributes(self, url):
        return self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def counts(self, url):
        attributes = self.attributes(url)
        names = ("", "NotVisible", "Delayed")
        return tuple(int(attributes[f"ApproximateNumberOfMessages{name}"]) for name in names)

    def send(self, url, body="hello", **arguments):
        return self.client.send_message(QueueUrl=url, MessageBody=body, **arguments)

    def receive(self, url, **arguments):
        arguments = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]} | arguments
        return self.client.receive_message(QueueUrl=url, **arguments).get("Messages", [])

    def kill(self, url, dead):
        """Receives once, and again after its timeout, so that everything visible goes to the dead-letter queue."""
        for message in self.receive(url):
            self.client.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        expect(self.receive(url), [])
        return self.counts(dead)[0]

    def delete_all(self):
        for url in self.urls:
            try:
                self.client.delete_queue(QueueUrl=url)
            except ClientError:
                pass


# ---- Queues ----


@check
def create_queue_is_idempotent_and_refuses_other_attributes(client, queues):
    url = queues.create(VisibilityTimeout=60)
    name = url.rsplit("/", 1)[1]
    expect(client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"], url)
    expect(client.create_queue(QueueName=name)["QueueUrl"], url)
    codes = ("QueueAlreadyExists", "QueueNameExists")
    expect_error(codes, client.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "61"})
    expect(client.get_queue_url(QueueName=name)["QueueUrl"], url)


@check
def queue_names_and_attributes_are_validated(client, queues):
    expect_error(INVALID, client.create_queue, QueueName="a b")
    expect_error(INVALID, client.create_queue, QueueName="x" * 81)
    for attribute in ({"VisibilityTimeout": "43201"}, {"DelaySeconds": "901"}, {"MessageRetentionPeriod": "59"}):
        expect_error(("InvalidAttributeValue",), client.create_queue, QueueName="unmade", Attributes=attribute)
    expect_error(("InvalidAttributeName",), client.create_queue, QueueName="unmade", Attributes={"Color": "red"})


@check
def attributes_have_their_defaults_and_can_be_set(client, queues):
    url = queues.create()
    attributes = queues.attributes(url)
    expected = {
        "VisibilityTimeout": "30", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0", "MaximumMessageSize": str(MIB),
    }
    expect({name: attributes[name] for name in expected}, expected)
    assert attributes["QueueArn"].endswith(":" + url.rsplit("/", 1)[1])
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    one = client.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    expect(one, {"VisibilityTimeout": "7"})


@check
def queues_are_listed_by_prefix_and_page(client, queues):
    urls = sorted(queues.create() for _ in range(3))
    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix="cross-check-", PaginationConfig={"PageSize": 2})
    listed = [url for page in pages for url in page.get("QueueUrls", [])]
    assert set(urls) <= set(listed) and len(listed) == len(set(listed)), listed


@check
def a_deleted_or_unknown_queue_does_not_exist(client, queues):
    url = queues.create()
    client.delete_queue(QueueUrl=url)
    expect_error(MISSING_QUEUE, client.send_message, QueueUrl=url, MessageBody="x")
    expect_error(MISSING_QUEUE, client.receive_message, QueueUrl=url)
    error = expect_error(MISSING_QUEUE, client.get_queue_url, QueueName=url.rsplit("/", 1)[1])
    assert isinstance(error, client.exceptions.QueueDoesNotExist), type(error)


@check
def a_queue_is_purged_once_a_minute(client, queues):
    url = queues.create()
    queues.send(url)
    client.purge_queue(QueueUrl=url)
    expect(queues.counts(url), (0, 0, 0))
    expect_error(batch_error("PurgeQueueInProgress"), client.purge_queue, QueueUrl=url)


@check
def tags_are_kept(client, queues):
    url = queues.create()
    client.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2"})
    client.untag_queue(QueueUrl=url, TagKeys=["a"])
    expect(client.list_queue_tags(QueueUrl=url)["Tags"], {"b": "2"})


@check
def an_operation_that_is_not_there_is_refused(client, queues):
    codes = ("InvalidAction", "UnknownOperationException")
    expect_error(codes, client.remove_permission, QueueUrl=queues.create(), Label="x")


# ---- Sending ----


@check
def a_message_comes_with_its_system_attributes(client, queues):
    url = queues.create()
    before_ms = time.time() * 1000 - 1
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = queues.send(url, "héllo", MessageGroupId="tenant#1", MessageSystemAttributes=trace)
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    (message,) = queues.receive(url)
    expect((message["MessageId"], message["Body"]), (sent["MessageId"], "héllo"))
    attributes = message["Attributes"]
    expect(attributes["AWSTraceHeader"], trace["AWSTraceHeader"]["StringValue"])
    expect((attributes["MessageGroupId"], attributes["ApproximateReceiveCount"]), ("tenant#1", "1"))
    assert before_ms <= int(attributes["SentTimestamp"]) <= int(attributes["ApproximateFirstReceiveTimestamp"])
    assert attributes["SenderId"]
    uuid.UUID(message["MessageId"], version=4)


@check
def message_attributes_keep_type_and_value_and_are_filtered(client, queues):
    url = queues.create(VisibilityTimeout=0)
    attributes = {
        "shop.name": {"DataType": "String", "StringValue": "Bella Vista é"},
        "shop.size": {"DataType": "Number.int", "StringValue": "42"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    queues.send(url, MessageAttributes=attributes)
    for asked, expected in [(["All"], set(attributes)), (["shop.*"], {"shop.name", "shop.size"}), (["raw"], {"raw"}), ([], set())]:
        (message,) = queues.receive(url, MessageAttributeNames=asked)
        received = message.get("MessageAttributes", {})
        expect(received, {name: attributes[name] for name in expected})


@check
def a_body_may_have_1_mib_and_not_a_byte_more(client, queues):
    url = queues.create()
    queues.send(url, "x" * MIB)
    expect(len(queues.receive(url)[0]["Body"]), MIB)
    expect_error(INVALID, client.send_message, QueueUrl=url, MessageBody="x" * (MIB + 1))
    attribute = {"a": {"DataType": "String", "StringValue": "x"}}
    too_much = {"MessageBody": "x" * (MIB - 7), "MessageAttributes": attribute}
    expect_error(INVALID, client.send_message, QueueUrl=url, **too_much)
    expect_error(("MissingParameter", "MissingRequiredParameterException"), client.send_message, QueueUrl=url, MessageBody="")


@check
def characters_outside_xml_are_refused(client, queues):
    url = queues.create()
    queues.send(url, "\t\n\r é \U0001F600 \uFFFD")
    for refused in ("\x00", "\x1f", "\uFFFE"):
        expect_error(("InvalidMessageContents",), client.send_message, QueueUrl=url, MessageBody=refused)


@check
def bad_attributes_groups_and_delays_are_refused(client, queues):
    url = queues.create()
    for arguments in (
        {"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}},
        {"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}},
        {"MessageAttributes": {"AWS.a": {"DataType": "String", "StringValue": "x"}}},
        {"MessageAttributes": {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(11)}},
        {"MessageGroupId": "a b"},
        {"MessageGroupId": "x" * 129},
        {"MessageDeduplicationId": "x"},
        {"DelaySeconds": 901},
        {"DelaySeconds": -1},
    ):
        expect_error(INVALID, client.send_message, QueueUrl=url, MessageBody="x", **arguments)
    expect(queues.counts(url), (0, 0, 0))


@check
def a_delayed_message_comes_later(client, queues):
    url = queues.create(DelaySeconds=900)
    queues.send(url, "by queue")
    started = time.monotonic()
    queues.send(url, "by message", DelaySeconds=1)
    expect(queues.counts(url), (0, 0, 2))
    expect([message["Body"] for message in queues.receive(url, WaitTimeSeconds=5)], ["by message"])
    assert 0.9 <= time.monotonic() - started < 3


# ---- Batches ----


def entries(*bodies):
    return [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]


@check
def a_batch_is_sent_received_and_deleted(client, queues):
    url = queues.create()
    answer = client.send_message_batch(QueueUrl=url, Entries=entries(*"abcdefghij"))
    expect([entry["Id"] for entry in answer["Successful"]], list("0123456789"))
    assert "Failed" not in answer
    messages = queues.receive(url)
    expect(sorted(message["Body"] for message in messages), list("abcdefghij"))
    handles = [{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)]
    expect(len(client.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]), 10)
    expect(queues.counts(url), (0, 0, 0))


@check
def a_batch_that_is_wrong_is_refused_whole(client, queues):
    url = queues.create()
    half = "x" * (MIB // 2)
    for code, batch in (
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", entries(*"abcdefghijk")),
        ("BatchEntryIdsNotDistinct", entries("a") * 2),
        ("InvalidBatchEntryId", [{"Id": "a b", "MessageBody": "x"}]),
        ("InvalidBatchEntryId", [{"Id": "a" * 81, "MessageBody": "x"}]),
        ("BatchRequestTooLong", entries(half, half, "x")),
    ):
        expect_error(batch_error(code), client.send_message_batch, QueueUrl=url, Entries=batch)
    expect(queues.counts(url), (0, 0, 0))


@check
def a_batch_fails_entry_by_entry(client, queues):
    url = queues.create()
    answer = client.send_message_batch(QueueUrl=url, Entries=entries("good", "bad\x00"))
    expect([entry["Id"] for entry in answer["Successful"]], ["0"])
    (failed,) = answer["Failed"]
    expect((failed["Id"], failed["Code"], failed["SenderFault"]), ("1", "InvalidMessageContents", True))
    (message,) = queues.receive(url)
    handles = [{"Id": "good", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "x"}]
    changes = [handle | {"VisibilityTimeout": 60} for handle in handles]
    for answer in (
        client.change_message_visibility_batch(QueueUrl=url, Entries=changes),
        client.delete_message_batch(QueueUrl=url, Entries=handles),
    ):
        expect([entry["Id"] for entry in answer["Successful"]], ["good"])
        expect([(entry["Id"], entry["Code"]) for entry in answer["Failed"]], [("bad", "ReceiptHandleIsInvalid")])


# ---- Receiving ----


@check
def a_received_message_is_hidden_and_comes_back(client, queues):
    url = queues.create(VisibilityTimeout=1)
    queues.send(url)
    (first,) = queues.receive(url)
    expect(queues.receive(url), [])
    expect(queues.counts(url), (0, 1, 0))
    (second,) = queues.receive(url, WaitTimeSeconds=5)
    expect(second["Attributes"]["ApproximateReceiveCount"], "2")
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    times = [message["Attributes"]["ApproximateFirstReceiveTimestamp"] for message in (first, second)]
    expect(times[0], times[1])


@check
def a_receive_can_choose_its_visibility_timeout(client, queues):
    url = queues.create()
    queues.send(url)
    expect(len(queues.receive(url, VisibilityTimeout=0)), 1)
    expect(len(queues.receive(url, VisibilityTimeout=43200)), 1)
    expect(queues.receive(url), [])


@check
def receive_parameters_are_validated(client, queues):
    url = queues.create()
    for arguments in (
        {"MaxNumberOfMessages": 0}, {"MaxNumberOfMessages": 11}, {"WaitTimeSeconds": 21},
        {"WaitTimeSeconds": -1}, {"VisibilityTimeout": 43201},
    ):
        expect_error(INVALID, client.receive_message, QueueUrl=url, **arguments)


@check
def a_receive_gets_no_more_than_asked(client, queues):
    url = queues.create()
    client.send_message_batch(QueueUrl=url, Entries=entries(*"abc"))
    expect(len(client.receive_message(QueueUrl=url)["Messages"]), 1)
    expect(len(queues.receive(url, MaxNumberOfMessages=1)), 1)
    assert "Attributes" not in client.receive_message(QueueUrl=url)["Messages"][0]
    assert "Messages" not in client.receive_message(QueueUrl=url)


@check
def long_polling_wakes_when_a_message_arrives(client, queues):
    url = queues.create()
    timer = threading.Timer(0.5, queues.send, [url])
    started = time.monotonic()
    timer.start()
    expect(len(queues.receive(url, WaitTimeSeconds=20)), 1)
    timer.join()
    assert time.monotonic() - started < 3, "did not wake at once"


@check
def long_polling_ends_without_a_message(client, queues):
    url = queues.create(ReceiveMessageWaitTimeSeconds=1)
    started = time.monotonic()
    expect(queues.receive(url), [])
    assert 0.9 <= time.monotonic() - started < 3
    started = time.monotonic()
    expect(queues.receive(url, WaitTimeSeconds=0), [])
    assert time.monotonic() - started < 0.9


@check
def concurrent_receivers_never_share_a_message(client, queues):
    url = queues.create()
    for _ in range(10):
        client.send_message_batch(QueueUrl=url, Entries=entries(*"abcdefghij"))
    received = []

    def drain():
        while messages := queues.receive(url):
            received.extend(message["MessageId"] for message in messages)

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect((len(received), len(set(received))), (100, 100))


# ---- Deleting and changing visibility ----


@check
def deleting_is_repeatable_and_needs_a_real_handle(client, queues):
    url = queues.create()
    queues.send(url)
    handle = queues.receive(url)[0]["ReceiptHandle"]
    for _ in range(2):
        client.delete_message(QueueUrl=url, ReceiptHandle=handle)
    expect(queues.counts(url), (0, 0, 0))
    expect_error(("ReceiptHandleIsInvalid",), client.delete_message, QueueUrl=url, ReceiptHandle="nonsense")


@check
def the_latest_handle_deletes(client, queues):
    url = queues.create()
    queues.send(url)
    queues.receive(url, VisibilityTimeout=0)
    handle = queues.receive(url, VisibilityTimeout=0)[0]["ReceiptHandle"]
    client.delete_message(QueueUrl=url, ReceiptHandle=handle)
    expect(queues.receive(url), [])


@check
def visibility_can_be_shortened_and_extended(client, queues):
    url = queues.create(VisibilityTimeout=1)
    queues.send(url)
    handle = queues.receive(url)[0]["ReceiptHandle"]
    change = {"QueueUrl": url, "ReceiptHandle": handle}
    client.change_message_visibility(VisibilityTimeout=60, **change)
    expect(queues.receive(url, WaitTimeSeconds=2), [])
    expect_error(INVALID, client.change_message_visibility, VisibilityTimeout=43201, **change)
    client.change_message_visibility(VisibilityTimeout=0, **change)
    expect(len(queues.receive(url)), 1)


@check
def visibility_of_a_deleted_message_cannot_be_changed(client, queues):
    url = queues.create()
    queues.send(url)
    handle = queues.receive(url)[0]["ReceiptHandle"]
    client.delete_message(QueueUrl=url, ReceiptHandle=handle)
    expect_error(INVALID, client.change_message_visibility, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)


# ---- Dead letters ----


@check
def a_redrive_policy_is_validated_and_shown(client, queues):
    url, dead = queues.create_with_dead_letters(max_receive_count=3)
    policy = json.loads(queues.attributes(url)["RedrivePolicy"])
    expect(policy, {"deadLetterTargetArn": queues.arn(dead), "maxReceiveCount": 3})
    expect(client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [url])
    unknown = {"deadLetterTargetArn": queues.arn(dead) + "-unknown", "maxReceiveCount": 3}
    attributes = {"RedrivePolicy": json.dumps(unknown)}
    expect_error(INVALID, client.set_queue_attributes, QueueUrl=url, Attributes=attributes)


@check
def a_message_received_too_often_goes_to_the_dead_letter_queue(client, queues):
    url, dead = queues.create_with_dead_letters(max_receive_count=2)
    sent = queues.send(url)
    first = queues.receive(url, VisibilityTimeout=0)[0]
    expect(len(queues.receive(url, VisibilityTimeout=0)), 1)
    expect((queues.receive(url), queues.counts(url)), ([], (0, 0, 0)))
    (message,) = queues.receive(dead)
    expect(message["MessageId"], sent["MessageId"])
    attributes = message["Attributes"]
    expect(attributes["SentTimestamp"], first["Attributes"]["SentTimestamp"])
    expect(attributes["DeadLetterQueueSourceArn"], queues.arn(url))


@check
def dead_letters_are_moved_back_to_their_source(client, queues):
    url, dead = queues.create_with_dead_letters()
    sent = queues.send(url)
    expect(queues.kill(url, dead), 1)
    dead_arn = queues.arn(dead)
    client.start_message_move_task(SourceArn=dead_arn)
    (message,) = queues.receive(url, WaitTimeSeconds=10)
    assert message["MessageId"] != sent["MessageId"], "a moved message is a new one"
    expect(message["Attributes"]["ApproximateReceiveCount"], "1")
    (task,) = client.list_message_move_tasks(SourceArn=dead_arn)["Results"]
    counted = (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"])
    expect((task["Status"], counted, task["SourceArn"]), ("COMPLETED", (1, 1), dead_arn))


@check
def dead_letters_are_moved_elsewhere_slowly_until_cancelled(client, queues):
    url, dead = queues.create_with_dead_letters()
    other = queues.create()
    client.send_message_batch(QueueUrl=url, Entries=entries(*"abcde"))
    expect(queues.kill(url, dead), 5)
    arns = {"SourceArn": queues.arn(dead), "DestinationArn": queues.arn(other)}
    handle = client.start_message_move_task(MaxNumberOfMessagesPerSecond=1, **arns)["TaskHandle"]
    (task,) = client.list_message_move_tasks(SourceArn=arns["SourceArn"])["Results"]
    expect((task["Status"], task["TaskHandle"], task["DestinationArn"]), ("RUNNING", handle, arns["DestinationArn"]))
    expect_error(INVALID + batch_error("UnsupportedOperation"), client.start_message_move_task, **arns)
    expect(len(queues.receive(other, WaitTimeSeconds=10, MaxNumberOfMessages=1)), 1)
    moved = client.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 1 <= moved < 5, moved
    (task,) = client.list_message_move_tasks(SourceArn=arns["SourceArn"])["Results"]
    assert task["Status"] in ("CANCELLING", "CANCELLED"), task


@check
def only_dead_letter_queues_are_moved(client, queues):
    url, dead = queues.create_with_dead_letters()
    expect_error(INVALID, client.start_message_move_task, SourceArn=queues.arn(url))
    unknown = queues.arn(dead) + "-unknown"
    expect_error(("ResourceNotFoundException",), client.start_message_move_task, SourceArn=unknown)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--region", default="us-east-1")
    arguments = parser.parse_args()
    client = boto3.client(
        "sqs",
        endpoint_url=arguments.endpoint_url,
        region_name=arguments.region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        # boto3 must not check parameters, so that the endpoint has to.
        config=Config(parameter_validation=False, connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}),
    )
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        queues = Queues(client)
        try:
            function(client, queues)
            print(f"ok      {name}")
        except Exception as error:  # A check that breaks has failed.
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
        finally:
            queues.delete_all()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
