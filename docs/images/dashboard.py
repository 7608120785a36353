"""Draws the dashboard's pages from the demo's month, by a headless Chromium.

Usage: dashboard.py FOLDER COUPONS [OPTION...]: the folder for the pictures, the command line's
binary, and options for its `serve`, such as --bin-dir.
"""

import base64
import json
import re
import subprocess
import sys
import urllib.request

PORT, AWS_PORT = 3921, 3922
ROOT = f"http://127.0.0.1:{PORT}"
TOKEN = "local-report-token"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def line_with(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found
    sys.exit(f"{process.args[0]} ended without {pattern!r}")


class Browser:
    def __init__(self, driver):
        port = line_with(driver, r"started successfully on port (\d+)")[1]
        always = {"goog:chromeOptions": {"args": FLAGS}}
        wanted = {"capabilities": {"alwaysMatch": always}}
        self.driver = f"http://127.0.0.1:{port}"
        session = ask("POST", f"{self.driver}/session", wanted)["value"]["sessionId"]
        self.session = f"{self.driver}/session/{session}"

    def post(self, path, **body):
        return ask("POST", f"{self.session}/{path}", body)["value"]

    def open(self, path):
        self.post("url", url=ROOT + path)

    def element(self, selector):
        found = self.post("element", using="css selector", value=selector)
        return next(iter(found.values()))

    def click(self, selector):
        self.post(f"element/{self.element(selector)}/click")

    def type(self, selector, text):
        self.post(f"element/{self.element(selector)}/value", text=text)

    def devtools(self, command, **parameters):
        self.post("goog/cdp/execute", cmd=command, params=parameters)

    def draw(self, path, height):
        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        picture = ask("GET", f"{self.session}/screenshot")["value"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def close(self):
        ask("DELETE", self.session)


def main(folder, coupons, *options):
    ports = ["--port", str(PORT), "--aws-port", str(AWS_PORT)]
    pipes = {"stdout": subprocess.PIPE, "text": True}
    system = subprocess.Popen([coupons, "serve", "--quiet", *ports, *options], **pipes)
    driver = subprocess.Popen(["chromedriver", "--port=0"], **pipes)
    try:
        line_with(system, "^ready: ")
        subprocess.run([coupons, "demo", "--seed", "1", *ports], check=True)
        browser = Browser(driver)
        browser.devtools("Network.enable")
        browser.devtools("Network.setExtraHTTPHeaders", headers={"Accept-Language": "en"})
        browser.open("/dashboard/sign-in")
        browser.type("input[name=token]", TOKEN)
        browser.click("main form button")
        browser.open("/dashboard?timeframe=30d")
        browser.draw(f"{folder}/overview.png", 1100)
        browser.open("/dashboard/events?type=used")
        browser.draw(f"{folder}/events.png", 900)
        browser.click("main td a[href^='/dashboard/coupons/']")
        browser.draw(f"{folder}/coupon.png", 1000)
        browser.close()
    finally:
        for process in (driver, system):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
