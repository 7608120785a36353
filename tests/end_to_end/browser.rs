//! A headless Chromium, driven through its chromedriver: the tests see pages as people see them.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::{ParseError, Url};

use crate::shop::root;

/// A browser starts in a second; a busy machine takes longer.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How many times the test starts a driver that ends at once.
const STARTS: usize = 5;

/// The longest time of a page, of a script in it, or of a wait for an element.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The pause between two checks for the next page.
const POLLS_EVERY: Duration = Duration::from_millis(20);

/// Chromium opens no window, and loads nothing that no test asked for.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--no-first-run",
];

/// The colours that the reader's system asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Light,
    Dark,
    Forced,
}

/// One window of a browser.
pub(crate) struct Browser {
    client: Client,
    /// The text of axe-core; `None` if the checks have not fetched it.
    axe: Option<String>,
}

/// Opens a browser, runs the story, and closes the browser. Without a chromedriver, a line says
/// that the test skips the story.
pub(crate) async fn in_a_browser(story: impl AsyncFnOnce(&Browser)) {
    let Some(program) = in_path("chromedriver") else {
        eprintln!("skipped: no chromedriver in PATH (apt-get install chromium chromium-driver)");
        return;
    };
    let axe = std::fs::read_to_string(root().join("target/tools/axe.min.js")).ok();
    if axe.is_none() {
        eprintln!("skipped in part: no axe-core in target/tools (bash tests/browser/axe)");
    }
    let (mut driver, url) = start(program).await;
    let client = connect(&url).await;
    let browser = Browser { client, axe };
    let outcome = AssertUnwindSafe(story(&browser)).catch_unwind().await;
    // The driver ends the browser only on request.
    let closed = browser.client.close().await;
    driver.kill().await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    closed.unwrap();
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// Starts a driver. If one ends at once, starts another. A driver takes a port that is free for
/// IPv4, and ends if another program has that port for IPv6.
async fn start(program: PathBuf) -> (Child, String) {
    let mut output = String::new();
    for _ in 0..STARTS {
        match start_once(&program).await {
            Ok(started) => return started,
            Err(lines) => output.push_str(&lines),
        }
    }
    panic!("chromedriver ended {STARTS} times before it served:\n{output}");
}

/// Starts a driver on a free port, and waits until the driver names the port. If the driver ends
/// first, the error is what it printed.
async fn start_once(program: &Path) -> Result<(Child, String), String> {
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = async {
        let mut printed = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let port = line.split_once("started successfully on port ");
            if let Some((_, port)) = port {
                return Ok(port.trim_end_matches('.').to_owned());
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        Err(printed)
    };
    let port = tokio::time::timeout(STARTS_WITHIN, port).await.unwrap()?;
    // The driver's later output must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((driver, format!("http://127.0.0.1:{port}")))
}

async fn connect(url: &str) -> Client {
    let capabilities = json!({
        "goog:chromeOptions": {"args": FLAGS},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {
            "pageLoad": ANSWERS_WITHIN.as_millis() as u64,
            "script": ANSWERS_WITHIN.as_millis() as u64,
        },
    });
    let capabilities: Capabilities = serde_json::from_value(capabilities).unwrap();
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let connected = builder.capabilities(capabilities).connect(url);
    let connected = tokio::time::timeout(STARTS_WITHIN, connected).await;
    connected.unwrap().unwrap()
}

/// A command of Chromium's own, which WebDriver does not define.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        let session = session_id.unwrap_or_default();
        base_url.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The address of the page, from its path on.
    pub(crate) async fn address(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    /// The visible text of an element.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.client.wait().at_most(ANSWERS_WITHIN);
        let element = element.for_element(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.text().await.unwrap()
    }

    pub(crate) async fn has(&self, selector: &str) -> bool {
        let found = self.client.find_all(Locator::Css(selector)).await;
        !found.unwrap().is_empty()
    }

    /// Follows a link or sends a form, and waits until the next page is there. Before that, an
    /// element would belong to the page that the browser is leaving.
    pub(crate) async fn follow(&self, selector: &str) {
        self.evaluate("window.isBeingLeft = true").await;
        self.choose(selector).await;
        let arrived = "return !window.isBeingLeft && document.readyState === 'complete'";
        let waiting = async {
            // While the browser changes from one page to the next, no script can run.
            while !matches!(
                self.client.execute(arrived, Vec::new()).await,
                Ok(Value::Bool(true))
            ) {
                tokio::time::sleep(POLLS_EVERY).await;
            }
        };
        let arrived = tokio::time::timeout(ANSWERS_WITHIN, waiting).await;
        arrived.unwrap_or_else(|_| panic!("{selector} leads to no other page"));
    }

    /// Clicks on something that stays on the page, such as a rating.
    pub(crate) async fn choose(&self, selector: &str) {
        let element = self.client.wait().at_most(ANSWERS_WITHIN);
        let element = element.for_element(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap();
    }

    /// Types into an empty field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.client.find(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// The value that a script of the test returns. The page's policy does not apply to that
    /// script.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn set_colours(&self, colours: Colours) {
        let scheme = match colours {
            Colours::Dark => "dark",
            Colours::Light | Colours::Forced => "light",
        };
        let forced = match colours {
            Colours::Forced => "active",
            _ => "none",
        };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "forced-colors", "value": forced},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Shows the page as a printer gets it, or as a screen again.
    pub(crate) async fn set_printed(&self, is_printed: bool) {
        let media = if is_printed { "print" } else { "" };
        self.devtools("Emulation.setEmulatedMedia", json!({"media": media}))
            .await;
    }

    /// The page on paper of the size A4, as a PDF in base64.
    pub(crate) async fn pdf(&self) -> String {
        let paper = json!({"paperWidth": 8.27, "paperHeight": 11.69});
        let printed = self.devtools("Page.printToPDF", paper).await;
        printed["data"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn set_size(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// The preferred languages that the browser sends.
    pub(crate) async fn set_languages(&self, languages: &str) {
        let headers = json!({"headers": {"Accept-Language": languages}});
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setExtraHTTPHeaders", headers).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let path = "goog/cdp/execute";
        let answer = self.client.issue_cmd(Own { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let body = json!({"type": kind});
        let path = "se/log";
        let log = self.client.issue_cmd(Own { path, body }).await.unwrap();
        log.as_array().cloned().unwrap_or_default()
    }

    /// The messages of the console since the last call.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.log("browser").await.into_iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    /// The hosts that the browser asked for anything since the last call. An address inside the
    /// page, such as `data:`, names no host.
    pub(crate) async fn hosts(&self) -> BTreeSet<String> {
        let mut hosts = BTreeSet::new();
        for entry in self.log("performance").await {
            let message = entry["message"].as_str().unwrap_or_default();
            let message: Value = serde_json::from_str(message).unwrap();
            let message = &message["message"];
            if message["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = message["params"]["request"]["url"].as_str().unwrap();
            let url = Url::parse(url).unwrap();
            if let Some(host) = url.host_str() {
                let port = url.port_or_known_default().unwrap_or_default();
                hosts.insert(format!("{host}:{port}"));
            }
        }
        hosts
    }

    /// Whether a part of the page is wider than the window.
    pub(crate) async fn scrolls_sideways(&self) -> bool {
        let script = "const page = document.scrollingElement; \
                      return page.scrollWidth > page.clientWidth";
        self.evaluate(script).await == true
    }

    /// The rules that the page breaks, and the elements, as axe-core finds them. Empty without
    /// axe-core.
    pub(crate) async fn inaccessible(&self) -> Vec<String> {
        let Some(axe) = &self.axe else {
            return Vec::new();
        };
        self.client.execute(axe, Vec::new()).await.unwrap();
        let script = "const done = arguments[arguments.length - 1]; \
                      axe.run(document, {preload: false}).then( \
                        it => done(it.violations.map(rule => rule.id + ': ' + rule.help + ': ' \
                          + rule.nodes.map(node => node.target.join(' ')).join(', '))), \
                        error => done(['axe-core failed: ' + error]))";
        let found = self.client.execute_async(script, Vec::new()).await.unwrap();
        let found = found.as_array().unwrap().iter();
        found
            .map(|it| it.as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
