"""Posts webhooks that Python's standard library signs, and checks their effects. Needs nothing else, and ends in bounded time.

Usage: webhooks.py --url http://127.0.0.1:3000
"""

import argparse
import hashlib
import hmac
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "events" / "samples"
passed = failed = 0


def check(name, condition, detail=""):
    global passed, failed
    if condition:
        passed += 1
        print(f"ok      {name}")
    else:
        failed += 1
        print(f"FAILED  {name} {detail}")


def request(url, body=None, headers=None):
    call = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def zupy(body, secret=b"local-zupy-secret"):
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Zupy-Signature": "sha256=" + digest}


def aghanim(body, secret=b"local-aghanim-secret"):
    at = b"1725548450"
    digest = hmac.new(secret, at + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Aghanim-Signature": digest,
        "X-Aghanim-Signature-Timestamp": at.decode(),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    base = parser.parse_args().url

    redeemed = (SAMPLES / "zupy-coupon-redeemed.json").read_bytes().replace(b"2025-09-26", b"2125-09-26")
    redeemed = redeemed.replace(b"CP-A1B2C3D4", b"CP-%d" % time.time_ns())
    code = json.loads(redeemed)["coupon"]["coupon_code"]
    url = base + "/webhooks/zupy/coupon-redeemed"
    status, answer = request(url, redeemed, zupy(redeemed))
    check("a redemption is accepted", (status, answer["status"]) == (200, "accepted"), answer)
    status, answer = request(url, redeemed, zupy(redeemed))
    check("the same again is a duplicate", (status, answer["status"]) == (200, "duplicate"), answer)
    status, answer = request(url, redeemed, zupy(redeemed, b"another"))
    check("another secret is refused", status == 401, answer)
    status, answer = request(url, redeemed + b" ", zupy(redeemed))
    check("one byte more is refused", status == 401, answer)
    changed = redeemed.replace(b'"points_spent": 1000', b'"points_spent": 1')
    status, answer = request(url, changed, zupy(changed))
    check("other contents are a conflict", status == 409, answer)

    status, _ = request(base + "/_local/idle?timeout_s=30")
    check("the messages go out before the coupon is used", status == 200)
    used = (SAMPLES / "zupy-coupon-used.json").read_bytes().replace(b"CP-A1B2C3D4", code.encode())
    status, answer = request(base + "/webhooks/zupy", used, zupy(used))
    check("a use is accepted on Zupy's one URL", (status, answer["status"]) == (200, "accepted"), answer)
    player = (SAMPLES / "aghanim-coupon-redeemed-bundle.json").read_bytes()
    status, answer = request(base + "/webhooks/aghanim/coupon-redeemed", player, aghanim(player))
    check("a redeemed code is accepted", status == 200, answer)

    status, _ = request(base + "/_local/idle?timeout_s=30")
    check("the system settles", status == 200)
    _, messages = request(base + "/_local/messages")
    messages = [message for message in messages if code in (message["event"] or "")]
    channels = sorted(message["channel"] for message in messages)
    expected = ["email", "whatsapp"]
    check("the customer has one mail and one WhatsApp message", channels == expected, channels)
    mails = [message for message in messages if message["channel"] == "email"]
    check("the code is in the mail", all(code in mail["html"] and code in mail["text"] for mail in mails))

    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
