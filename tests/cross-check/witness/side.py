"""One endpoint under comparison: plays steps, and keeps each outcome without what is random."""

import datetime
import json
import re

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

REGION = "us-east-1"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECRET_SUFFIX = re.compile(r"(:secret:.+)-\w{6}$")
# Answers name these differently each time, and a reader learns nothing from the values.
RANDOM = {"MessageId", "ReceiptHandle", "SequenceNumber", "SenderId", "TaskHandle", "NextToken"}
TIMES = {
    "SentTimestamp",
    "ApproximateFirstReceiveTimestamp",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
}
# The order of these lists is open.
UNORDERED = {"Messages", "SS", "NS", "BS", "VersionStages", "QueueUrls", "SecretList", "Topics"}


class Side:
    def __init__(self, url, run):
        self.url = url
        self.run = run
        self.outcomes = {}
        self.ids = {}
        self.dynamodb = self.client("dynamodb")
        self.sqs = self.client("sqs")
        self.sns = self.client("sns")
        self.ses = self.client("sesv2")
        self.secrets = self.client("secretsmanager")

    def client(self, service):
        """A client that leaves it to the service to judge a parameter."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="cross-check",
            aws_secret_access_key="any",
            config=Config(
                retries={"total_max_attempts": 1},
                parameter_validation=False,
                read_timeout=30,
            ),
        )

    def play(self, script):
        """Plays a script. A script that breaks off is an outcome too."""
        try:
            script.play(self)
        except Exception as error:  # The other scripts go on.
            self.outcomes[f"{script.__name__}: every step is played"] = {
                "broke off": f"{type(error).__name__}: {error}"
            }

    def step(self, name, call, unordered=False, **arguments):
        """Calls an operation, and keeps its outcome. Returns the answer, or {} after an error."""
        assert name not in self.outcomes, f"two steps are called `{name}`"
        answer = {}
        try:
            answer = call(**arguments)
            outcome = {"answer": self.plain(answer, unordered=unordered)}
        except ClientError as error:
            details = error.response
            outcome = {
                "error": details["Error"]["Code"],
                "status": details["ResponseMetadata"]["HTTPStatusCode"],
            }
            if "Item" in details:
                outcome["item"] = self.plain(details["Item"])
            if "CancellationReasons" in details:
                reasons = details["CancellationReasons"]
                outcome["reasons"] = [
                    {key: self.plain(reason[key]) for key in ("Code", "Item") if key in reason}
                    for reason in reasons
                ]
        except (BotoCoreError, ResponseParserError) as error:
            # No answer, or one that boto3 cannot read.
            outcome = {"error": type(error).__name__}
        self.outcomes[name] = outcome
        return answer

    def plain(self, value, name="", unordered=False):
        """The value without what is random, and in a fixed order where the order is open."""
        if isinstance(value, dict):
            # The wording of an error is open. In a batch, it stands beside whose fault it is.
            left_out = {"ResponseMetadata"} | ({"Message"} if "SenderFault" in value else set())
            names = sorted(set(value) - left_out)
            return {
                key.replace(self.run, "<run>"): self.plain(value[key], key, unordered)
                for key in names
            }
        if isinstance(value, (list, tuple)):
            values = [self.plain(item, "", unordered) for item in value]
            return sorted(values, key=as_text) if unordered or name in UNORDERED else values
        if isinstance(value, datetime.datetime) or name in TIMES:
            return "<time>"
        if name in RANDOM:
            return "<random>"
        if isinstance(value, bytes):
            return value.hex()
        if name == "RedrivePolicy":
            return self.plain(json.loads(value))
        if isinstance(value, str):
            return self.plain_text(value.replace(self.url, "<endpoint>").replace(self.run, "<run>"))
        return value

    def plain_text(self, text):
        text = SECRET_SUFFIX.sub(r"\1-<random>", text)
        return UUID.sub(lambda id: self.ids.setdefault(id[0], f"<id {len(self.ids) + 1}>"), text)


def as_text(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def compare(step, ours, motos):
    """Each place in which two outcomes of a step differ, as `place: ours | moto's`."""
    if step not in ours or step not in motos:
        return [f"played: {step in ours} | {step in motos}"]
    mine, other = ours[step], motos[step]
    if "broke off" in mine or "broke off" in other:
        return [f"{mine.get('broke off')} | {other.get('broke off')}"]
    if mine.get("error") != other.get("error"):
        return [f"{mine.get('error', 'accepted')} | {other.get('error', 'accepted')}"]
    return list(places(mine, other, ""))


def places(left, right, path):
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            below = f"{path}.{name}" if path else name
            if name not in left:
                yield f"{below}: absent | {shortened(right[name])}"
            elif name not in right:
                yield f"{below}: {shortened(left[name])} | absent"
            else:
                yield from places(left[name], right[name], below)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right)):
            yield from places(one, other, f"{path}[{index}]")
    elif type(left) is not type(right) or left != right:
        yield f"{path}: {shortened(left)} | {shortened(right)}"


def shortened(value, most=300):
    text = value if isinstance(value, str) else as_text(value)
    return text if len(text) <= most else f"{text[:most]}..."
