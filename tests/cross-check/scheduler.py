#!/usr/bin/env python3
"""Schedules messages with boto3, an independent client, lets time pass, and checks the arrived messages.

Needs boto3 and a system whose template has the queues, the group and the role of `schedules.yaml`:
    python3 tests/cross-check/scheduler.py --url http://127.0.0.1:3000 --endpoint-url http://127.0.0.1:4566
Exit code 0 if every check passed.
"""

import argparse
import json
import sys
import time
import urllib.request
import uuid
from datetime import datetime, timedelta

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "us-east-1:000000000000"
TARGET = f"arn:aws:sqs:{ACCOUNT}:cross-check-due"
DEAD_LETTERS = f"arn:aws:sqs:{ACCOUNT}:cross-check-late"
ROLE = "arn:aws:iam::000000000000:role/cross-check-schedules-role"
GROUP = "cross-check-schedules"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(call, code, status, **arguments):
    """The message of the ClientError that the call must end in."""
    try:
        call(**arguments)
    except ClientError as error:
        actual = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert actual == (code, status), f"refused as {actual}: {error}"
        return error.response["Error"]["Message"]
    raise AssertionError(f"was not refused as {code}")


class System:
    def __init__(self, url, endpoint_url):
        self.url = url
        self.run = uuid.uuid4().hex[:8]
        options = {
            "endpoint_url": endpoint_url,
            "region_name": "us-east-1",
            "aws_access_key_id": "cross-check",
            "aws_secret_access_key": "any",
            "config": Config(retries={"total_max_attempts": 1}),
        }
        self.scheduler = boto3.client("scheduler", **options)
        self.sqs = boto3.client("sqs", **options)

    def local(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data=data, timeout=60) as answer:
            return json.load(answer)

    def in_hours(self, hours):
        now = datetime.fromisoformat(self.local("/_local/clock")["now"].replace("Z", "+00:00"))
        return (now + timedelta(hours=hours)).strftime("at(%Y-%m-%dT%H:%M:%S)")

    def schedule(self, name, hours, **more):
        target = {"Arn": TARGET, "RoleArn": ROLE, "Input": f"input of {name}", **more.pop("target", {})}
        return {
            "Name": f"{name}-{self.run}",
            "GroupName": GROUP,
            "ScheduleExpression": self.in_hours(hours),
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {**target, "DeadLetterConfig": {"Arn": DEAD_LETTERS}},
            **more,
        }

    def received(self, queue):
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        messages = []
        deadline = time.monotonic() + 10
        while not messages and time.monotonic() < deadline:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            messages = answer.get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages


@check
def a_schedule_is_created_once_and_described(system):
    one = system.schedule("one", 2)
    arn = system.scheduler.create_schedule(**one)["ScheduleArn"]
    assert arn.endswith(f":schedule/{GROUP}/{one['Name']}"), arn
    message = refused(system.scheduler.create_schedule, "ConflictException", 409, **one)
    assert message == f"Schedule {one['Name']} already exists.", message
    described = system.scheduler.get_schedule(Name=one["Name"], GroupName=GROUP)
    assert described["ScheduleExpression"] == one["ScheduleExpression"], described
    assert described["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 185, described
    assert described["CreationDate"].tzinfo and described["State"] == "ENABLED", described
    listed = system.scheduler.list_schedules(GroupName=GROUP, NamePrefix="one-")["Schedules"]
    assert [schedule["Arn"] for schedule in listed] == [arn], listed


@check
def the_same_token_gets_the_same_answer(system):
    two = system.schedule("two", 2, ClientToken=f"token-{system.run}")
    answers = [system.scheduler.create_schedule(**two)["ScheduleArn"] for _ in range(2)]
    assert answers[0] == answers[1], answers


@check
def pages_are_followed(system):
    for number in range(5):
        system.scheduler.create_schedule(**system.schedule(f"many{number}", 48))
    pages = system.scheduler.get_paginator("list_schedules").paginate(
        GroupName=GROUP, NamePrefix="many", PaginationConfig={"PageSize": 2}
    )
    counts = [len(page["Schedules"]) for page in pages]
    assert counts == [2, 2, 1], counts


@check
def a_schedule_is_updated_and_deleted(system):
    three = system.schedule("three", 2)
    system.scheduler.create_schedule(**three)
    system.scheduler.update_schedule(**{**three, "State": "DISABLED", "Description": "later"})
    described = system.scheduler.get_schedule(Name=three["Name"], GroupName=GROUP)
    assert (described["State"], described["Description"]) == ("DISABLED", "later"), described
    system.scheduler.delete_schedule(Name=three["Name"], GroupName=GROUP)
    get = system.scheduler.get_schedule
    refused(get, "ResourceNotFoundException", 404, Name=three["Name"], GroupName=GROUP)


@check
def what_is_wrong_is_refused(system):
    create = system.scheduler.create_schedule
    for wrong in (
        {"ScheduleExpression": "at(2100-01-01T12:00:00Z)"},
        {"ScheduleExpression": "at(2020-01-01T12:00:00)"},
        {"ScheduleExpressionTimezone": "Mars"},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"target": {"RoleArn": "arn:aws:iam::000000000000:role/absent"}},
    ):
        refused(create, "ValidationException", 400, **system.schedule("wrong", 2, **wrong))
    elsewhere = {**system.schedule("wrong", 2), "GroupName": "absent"}
    refused(create, "ResourceNotFoundException", 404, **elsewhere)


@check
def targets_get_their_messages_when_time_has_passed(system):
    system.local("/_local/clock", {"advance_s": 2 * 3600 + 60})
    bodies = sorted(message["Body"] for message in system.received("cross-check-due"))
    assert bodies == ["input of one", "input of two"], bodies
    left = system.scheduler.list_schedules(GroupName=GROUP)["Schedules"]
    assert {schedule["Name"].split("-")[0] for schedule in left} == {f"many{n}" for n in range(5)}, left


@check
def a_target_that_is_down_leaves_a_dead_letter(system):
    fault = {"service": "sqs", "operation": "SendMessage", "function": "scheduler", "mode": "fail"}
    added = system.local("/_local/faults", fault)
    policy = {"MaximumRetryAttempts": 0}
    system.scheduler.create_schedule(**system.schedule("four", 1, target={"RetryPolicy": policy}))
    system.local("/_local/clock", {"advance_s": 3660})
    (letter,) = system.received("cross-check-late")
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert letter["Body"] == "input of four", letter
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts", attributes
    assert attributes["TARGET_ARN"] == TARGET, attributes
    request = urllib.request.Request(f"{system.url}/_local/faults/{added['id']}", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()


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
        except Exception as error:  # any failure is that check's, and the rest still run
            failed += 1
            print(f"FAILED  {function.__name__}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
