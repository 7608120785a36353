"""Plays Lambda for a built function: three messages, one of which makes the function panic.

Usage: panics.py BOOTSTRAP
"""

import http.server
import json
import os
import subprocess
import sys
import threading
import time

MESSAGES = ["first", "panic", "third"]
TIMEOUT_S = 30


def record(text):
    return {
        "messageId": f"id-{text}",
        "receiptHandle": f"receipt-{text}",
        "body": text,
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
    }


class Lambda(http.server.BaseHTTPRequestHandler):
    """The Runtime API, and an SQS that refuses every call, so that the function reports the messages that SQS must keep."""

    protocol_version = "HTTP/1.1"
    answered = threading.Event()
    answer = None
    handed_out = False

    def do_GET(self):
        if Lambda.handed_out:
            time.sleep(TIMEOUT_S)
        Lambda.handed_out = True
        deadline_ms = int((time.time() + TIMEOUT_S) * 1000)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "1",
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:panicking",
        }
        self.reply(200, json.dumps({"Records": [record(text) for text in MESSAGES]}), headers)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/response"):
            Lambda.answer = json.loads(body)
            Lambda.answered.set()
            self.reply(202, "{}", {})
        else:
            self.reply(400, '{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}', {})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def main(bootstrap):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    environment = {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "panicking",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/panicking",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "PANICKING_QUEUE_URL": f"http://{address}/000000000000/panicking",
        "PANICKING_DEAD_LETTER_QUEUE_URL": f"http://{address}/000000000000/panicking-dead-letter",
        "EVENTS_TABLE": "events",
        "RETENTION_DAYS": "35",
        "PATH": os.environ["PATH"],
    }
    function = subprocess.Popen([bootstrap], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        in_time = Lambda.answered.wait(TIMEOUT_S)
        status = function.poll()
    finally:
        function.kill()
    output = function.communicate()[0]
    if not in_time:
        sys.exit(f"The function did not answer; its exit status is {status}, its output:\n{output}")
    failed = [failure["itemIdentifier"] for failure in Lambda.answer["batchItemFailures"]]
    if failed != ["id-panic"]:
        sys.exit(f"Only id-panic may fail, but these did: {failed}")
    for text in MESSAGES:
        if (f"processed {text}" in output) == (text == "panic"):
            sys.exit(f"Message {text!r} is not as it should be in the output:\n{output}")
    print("A message that panics fails alone in a function as it is deployed.")


main(sys.argv[1])
