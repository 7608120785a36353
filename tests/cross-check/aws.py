#!/usr/bin/env python3
"""Calls the local AWS endpoint with boto3, an independent client, and checks the answers.

Needs boto3 and a running local system:  python3 tests/cross-check/aws.py --endpoint-url http://127.0.0.1:4566
Uses its own table, which it deletes at the end, and its own secret. Exits with 0 if every check passed.
"""

import argparse
import sys
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(call, code, **arguments):
    """Checks that the call ends in a ClientError with this code."""
    try:
        call(**arguments)
    except ClientError as error:
        actual = error.response["Error"]["Code"]
        assert actual == code, f"refused as {actual}, not {code}: {error}"
        return error.response
    raise AssertionError(f"was not refused as {code}")


class Endpoint:
    def __init__(self, url):
        run = uuid.uuid4().hex[:8]
        self.table = f"cross-check-{run}"
        self.secret = f"cross-check-{run}"
        self.url = url
        self.dynamodb = self.client("dynamodb")
        self.secrets = self.client("secretsmanager")
        self.ses = self.client("sesv2")

    def client(self, service, access_key="cross-check"):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def put(self, entry, **more):
        item = {"coupon": {"S": "c"}, "entry": {"S": entry}, "hash": {"S": "h1"}}
        return self.dynamodb.put_item(TableName=self.table, Item=item, **more)

    def entries(self, **arguments):
        answer = self.dynamodb.query(TableName=self.table, **arguments)
        return [item["entry"]["S"] for item in answer["Items"]]


@check
def dynamodb_creates_a_table_with_an_index(aws):
    aws.dynamodb.create_table(
        TableName=aws.table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("coupon", "entry", "undispatched")
        ],
        KeySchema=[
            {"AttributeName": "coupon", "KeyType": "HASH"},
            {"AttributeName": "entry", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "undispatched",
                "KeySchema": [{"AttributeName": "undispatched", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    aws.dynamodb.get_waiter("table_exists").wait(TableName=aws.table)


@check
def dynamodb_a_lost_conditional_put_returns_the_old_item(aws):
    condition = {
        "ConditionExpression": "attribute_not_exists(entry)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    aws.put("redeemed", **condition)
    response = refused(aws.put, "ConditionalCheckFailedException", entry="redeemed", **condition)
    assert response["Item"]["hash"] == {"S": "h1"}, response


@check
def dynamodb_updates_and_returns_the_new_attributes(aws):
    for expected in ("2", "4"):
        answer = aws.dynamodb.update_item(
            TableName=aws.table,
            Key={"coupon": {"S": "c"}, "entry": {"S": "count"}},
            UpdateExpression="ADD uses :two SET undispatched = :yes",
            ExpressionAttributeValues={":two": {"N": "2"}, ":yes": {"S": "yes"}},
            ReturnValues="UPDATED_NEW",
        )
        assert answer["Attributes"]["uses"] == {"N": expected}, answer


@check
def dynamodb_queries_by_the_beginning_of_the_sort_key(aws):
    for entry in ("used#2", "used#1", "used#1/fraud"):
        aws.put(entry)
    entries = aws.entries(
        KeyConditionExpression="coupon = :c AND begins_with(entry, :prefix)",
        ExpressionAttributeValues={":c": {"S": "c"}, ":prefix": {"S": "used#"}},
    )
    assert entries == ["used#1", "used#1/fraud", "used#2"], entries


@check
def dynamodb_queries_a_sparse_index(aws):
    entries = aws.entries(
        IndexName="undispatched",
        KeyConditionExpression="undispatched = :yes",
        ExpressionAttributeValues={":yes": {"S": "yes"}},
    )
    assert entries == ["count"], entries


@check
def dynamodb_scans_page_by_page(aws):
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName=aws.table, PaginationConfig={"PageSize": 2})
    counts = [page["Count"] for page in pages]
    assert sum(counts) == 5 and max(counts) == 2, counts


@check
def dynamodb_a_cancelled_transaction_gives_its_reasons_and_changes_nothing(aws):
    def put(entry, **more):
        item = {"coupon": {"S": "c"}, "entry": {"S": entry}}
        return {"Put": {"TableName": aws.table, "Item": item, **more}}

    response = refused(
        aws.dynamodb.transact_write_items,
        "TransactionCanceledException",
        TransactItems=[
            put("fresh"),
            put(
                "redeemed",
                ConditionExpression="attribute_not_exists(entry)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
        ],
    )
    reasons = response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"], reasons
    assert reasons[1]["Item"]["hash"] == {"S": "h1"}, reasons
    key = {"coupon": {"S": "c"}, "entry": {"S": "fresh"}}
    assert "Item" not in aws.dynamodb.get_item(TableName=aws.table, Key=key)


@check
def dynamodb_a_transaction_commits_its_items(aws):
    key = {"coupon": {"S": "c"}, "entry": {"S": "count"}}
    aws.dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": aws.table, "Item": {"coupon": {"S": "c"}, "entry": {"S": "fresh"}}}},
            {
                "Update": {
                    "TableName": aws.table,
                    "Key": key,
                    "UpdateExpression": "REMOVE undispatched ADD uses :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}},
                }
            },
        ]
    )
    item = aws.dynamodb.get_item(TableName=aws.table, Key=key, ConsistentRead=True)["Item"]
    assert item["uses"] == {"N": "5"} and "undispatched" not in item, item


@check
def dynamodb_an_absent_table_is_not_found(aws):
    refused(aws.dynamodb.scan, "ResourceNotFoundException", TableName="absent")


@check
def secrets_manager_creates_and_reads_by_name_and_arn(aws):
    created = aws.secrets.create_secret(Name=aws.secret, SecretString="first", Description="for a check")
    for secret_id in (aws.secret, created["ARN"]):
        value = aws.secrets.get_secret_value(SecretId=secret_id)
        assert value["SecretString"] == "first" and value["VersionStages"] == ["AWSCURRENT"], value
        assert value["VersionId"] == created["VersionId"], value


@check
def secrets_manager_a_new_value_makes_the_old_one_previous(aws):
    aws.secrets.put_secret_value(SecretId=aws.secret, SecretString="second")
    for stage, expected in (("AWSCURRENT", "second"), ("AWSPREVIOUS", "first")):
        value = aws.secrets.get_secret_value(SecretId=aws.secret, VersionStage=stage)
        assert value["SecretString"] == expected, value
    stages = aws.secrets.describe_secret(SecretId=aws.secret)["VersionIdsToStages"].values()
    assert sorted(stages) == [["AWSCURRENT"], ["AWSPREVIOUS"]], stages


@check
def secrets_manager_keeps_binary_values(aws):
    aws.secrets.update_secret(SecretId=aws.secret, SecretBinary=b"\x00\xff")
    value = aws.secrets.get_secret_value(SecretId=aws.secret)
    assert value["SecretBinary"] == b"\x00\xff" and "SecretString" not in value, value


@check
def secrets_manager_lists_with_dates(aws):
    listed = aws.secrets.list_secrets()["SecretList"]
    ours = [secret for secret in listed if secret["Name"] == aws.secret]
    assert len(ours) == 1 and ours[0]["LastChangedDate"].year > 2000, listed


@check
def secrets_manager_refuses_by_name(aws):
    refused(aws.secrets.get_secret_value, "ResourceNotFoundException", SecretId="absent")
    refused(aws.secrets.create_secret, "ResourceExistsException", Name=aws.secret, SecretString="x")


def email(**more):
    message = {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["ana@example.org"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Seu cupom é este", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "CP-1"}, "Html": {"Data": "<b>CP-1</b>"}},
            }
        },
        "EmailTags": [{"Name": "event", "Value": "cross-check"}],
    }
    return {**message, **more}


@check
def ses_sends_and_answers_with_an_id(aws):
    first, second = (aws.ses.send_email(**email())["MessageId"] for _ in range(2))
    assert first and first != second, (first, second)


@check
def ses_refuses_what_is_not_an_address(aws):
    response = refused(
        aws.ses.send_email, "BadRequestException", **email(Destination={"ToAddresses": ["ana"]})
    )
    assert "Missing final '@domain'" in response["Error"]["Message"], response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400, response


@check
def ses_refuses_too_many_recipients_and_odd_tags(aws):
    many = {"ToAddresses": [f"c{n}@example.org" for n in range(51)]}
    refused(aws.ses.send_email, "BadRequestException", **email(Destination=many))
    tags = [{"Name": "event", "Value": "zupy#1"}]
    refused(aws.ses.send_email, "BadRequestException", **email(EmailTags=tags))


@check
def a_service_that_is_not_there_says_what_is(aws):
    try:
        aws.client("lambda").list_functions()
    except ClientError as error:
        assert "This endpoint serves DynamoDB" in str(error), error
    else:
        raise AssertionError("Lambda answered")


@check
def a_function_that_is_not_in_the_template_is_refused(aws):
    stranger = aws.client("dynamodb", access_key="LOCAL_NO_SUCH_FUNCTION")
    refused(stranger.scan, "UnrecognizedClientException", TableName=aws.table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint-url", required=True)
    aws = Endpoint(parser.parse_args().endpoint_url)
    failed = 0
    for function in CHECKS:
        try:
            function(aws)
            print(f"ok      {function.__name__}")
        except Exception as error:  # A failure ends its own check alone.
            failed += 1
            print(f"FAILED  {function.__name__}: {type(error).__name__}: {error}")
    aws.dynamodb.delete_table(TableName=aws.table)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
