"""Peer P1: the coupon webhook with Powertools idempotency and boto3."""

import hashlib
import hmac
import json
import os
from base64 import b64decode
from datetime import datetime

import boto3
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError

SECRET = os.environ["WEBHOOK_SECRET"].encode()
QUEUES = {
    name: os.environ[f"QUEUE_URL_{name.upper()}"]
    for name in ("delivery", "inventory", "fraud", "analytics", "surveys")[: int(os.environ["QUEUE_COUNT"])]
}

sqs = boto3.client("sqs")
persistence = DynamoDBPersistenceLayer(table_name=os.environ["TABLE_NAME"])
config = IdempotencyConfig(
    event_key_jmespath="[event, company_id, coupon.coupon_code, timestamp]",
    expires_after_seconds=86_400,
)


def reply(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }


def signature_ok(raw, header):
    if not header or not header.startswith("sha256="):
        return False
    expected = hmac.new(SECRET, raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, header[len("sha256="):])


def valid(payload):
    try:
        datetime.fromisoformat(payload["timestamp"])
        coupon = payload["coupon"]
        return (
            payload["event"] in ("coupon.redeemed", "coupon.used")
            and bool(payload["company_id"])
            and bool(payload["customer"]["member_id"])
            and bool(coupon["coupon_code"])
            and bool(coupon["reward_id"])
            and int(coupon["points_spent"]) >= 0
        )
    except (KeyError, TypeError, ValueError):
        return False


@idempotent_function(data_keyword_argument="payload", persistence_store=persistence, config=config)
def process(payload):
    for name, url in QUEUES.items():
        sqs.send_message(
            QueueUrl=url,
            MessageBody=json.dumps({"target": name, "event": payload["event"], "payload": payload}),
        )
    return {"status": "accepted"}


def lambda_handler(event, context):
    config.register_lambda_context(context)
    body = event.get("body") or ""
    raw = b64decode(body) if event.get("isBase64Encoded") else body.encode()
    if not signature_ok(raw, event["headers"].get("x-zupy-signature")):
        return reply(401, {"error": "invalid signature"})
    try:
        payload = json.loads(raw)
    except ValueError:
        return reply(400, {"error": "invalid body"})
    if not valid(payload):
        return reply(400, {"error": "invalid body"})
    try:
        return reply(200, process(payload=payload))
    except IdempotencyAlreadyInProgressError:
        return reply(409, {"error": "in progress"})
