"""Runs the same operations against the local endpoint and against moto, and compares the answers.

    python3 tests/cross-check/witness --endpoint-url http://127.0.0.1:4566

Needs boto3, `moto[server]` and a system whose template has the topic `cross-check`. Starts moto by
itself. Exits with 1 if an answer differs that `differences.py` does not list, or if a listed
difference no longer occurs.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
import uuid

import alerts
import differences
import dynamodb
import dynamodb_limits
import emails
import secrets_manager
import sqs
from side import Side, compare

ACCOUNT = "000000000000"
START_LIMIT_S = 30
FEWEST_STEPS = 150
SCRIPTS = (dynamodb, dynamodb_limits, sqs, alerts, emails, secrets_manager)


class Moto:
    """moto's server on a free port of the loopback interface."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            env={**os.environ, "MOTO_ACCOUNT_ID": ACCOUNT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = None
        self.heard = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        if not self.heard.wait(START_LIMIT_S) or self.url is None:
            self.__exit__()
            sys.exit(f"moto did not start within {START_LIMIT_S} s. Is moto[server] installed?")
        return self

    def read(self):
        """Reads the log to its end, so that moto never waits for a reader."""
        for line in self.process.stderr:
            address = re.search(r"Running on (http://127\.0\.0\.1:\d+)", line)
            if address:
                self.url = address[1]
                self.heard.set()
        self.heard.set()

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def play(url, run):
    """Plays every script against one endpoint. Returns the outcomes by step."""
    side = Side(url, run)
    for script in SCRIPTS:
        side.play(script)
    return side.outcomes


def report(ours, motos, listed):
    """Prints every fault. Returns how many there are."""
    faults = 0
    seen = set()
    for step in ours | motos:
        found = differences.habits(step, compare(step, ours, motos), seen)
        known = listed.pop(step, None)
        if found and known is None:
            faults += 1
            print(f"DIFFERS {step}")
            for line in found:
                print(f"        {line}")
        elif known is not None and not found:
            faults += 1
            print(f"AGREES  {step}: take it off the list in differences.py")
        elif known is not None and known != found:
            faults += 1
            print(f"CHANGED {step}: differences.py lists {known}")
            for line in found:
                print(f"        {line}")
    for step in listed:
        faults += 1
        print(f"ABSENT  {step}: differences.py lists a step that no script has")
    for reason in differences.EVERYWHERE.keys() - seen:
        faults += 1
        print(f"AGREES  everywhere: take `{reason}` off the list in differences.py")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint-url", required=True)
    url = parser.parse_args().endpoint_url
    run = uuid.uuid4().hex[:8]
    with Moto() as moto:
        motos = {}
        beside = threading.Thread(target=lambda: motos.update(play(moto.url, run)))
        beside.start()
        ours = play(url, run)
        beside.join()
    listed = differences.by_step()
    known = len(listed)
    faults = report(ours, motos, listed)
    if len(ours) < FEWEST_STEPS:
        faults += 1
        print(f"Only {len(ours)} steps were played, and {FEWEST_STEPS} are the fewest.")
    print(f"{len(ours)} steps compared with moto, {known} listed differences, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
