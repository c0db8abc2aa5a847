/*!
A browser without a window, driven by the `DevTools` protocol of Chromium over a pipe.

What a page logs, and what its policy forbids it, is kept: a test that asks for [`Page::complaints`] finds it.
*/
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use serin_local::child::{self, Child};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use crate::site::eventually;
use crate::tools::{Tool, chromium};

/// How long an answer of the browser may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A window that most people have.
pub const DESKTOP: (u32, u32) = (1280, 900);

/// A telephone.
pub const PHONE: (u32, u32) = (375, 800);

/// A running browser. It is killed when this is dropped.
pub struct Browser {
    wire: Arc<Wire>,
    _child: Child,
    _folder: tempfile::TempDir,
}

/// A page of it.
pub struct Page {
    wire: Arc<Wire>,
    session: String,
}

struct Wire {
    input: AsyncMutex<ChildStdin>,
    last: AtomicU64,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    /// What pages complained of, with the session of each.
    complaints: Vec<(String, String)>,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be brought or does not come up.
    pub async fn start() -> Result<Self> {
        let (program, environment) = chromium()?;
        let folder = tempfile::tempdir()?;
        // The browser reads from 3 and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 >&2"]).arg(program);
        command.args([
            "--headless=shell",
            "--no-sandbox",
            "--no-zygote",
            "--disable-gpu",
            "--hide-scrollbars",
        ]);
        command.args([
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-extensions",
            "--font-render-hinting=none",
        ]);
        command.arg(format!("--user-data-dir={}", folder.path().display())).arg("about:blank");
        command.envs(environment).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child::spawn(command)?;
        let (input, output) = child.pipes().context("the browser has pipes")?;
        let wire =
            Wire { input: AsyncMutex::new(input), last: AtomicU64::default(), heard: Mutex::default() };
        let wire = Arc::new(wire);
        tokio::spawn(listen(Arc::clone(&wire), output));
        wire.call(None, "Browser.getVersion", json!({})).await.context("the browser does not come up")?;
        Ok(Self { wire, _child: child, _folder: folder })
    }

    /// Opens an address in a window of this size, in a light or a dark room.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self, url: &str, (width, height): (u32, u32), is_dark: bool) -> Result<Page> {
        let target = self.wire.call(None, "Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.wire.call(None, "Target.attachToTarget", attach).await?;
        let session = attached["sessionId"].as_str().context("a session has an id")?.to_owned();
        let page = Page { wire: Arc::clone(&self.wire), session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({})).await?;
        }
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        page.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        page.call("Emulation.setEmulatedMedia", media).await?;
        page.go(url).await?;
        Ok(page)
    }
}

impl Page {
    async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.wire.call(Some(&self.session), method, params).await
    }

    /// Goes to an address.
    ///
    /// # Errors
    /// When nothing comes from there.
    pub async fn go(&self, url: &str) -> Result<()> {
        let gone = self.call("Page.navigate", json!({"url": url})).await?;
        ensure!(gone.get("errorText").is_none(), "{url}: {}", gone["errorText"]);
        self.until(
            "the page to be there",
            "document.readyState === 'complete' && location.href !== 'about:blank'",
        )
        .await
    }

    /// Closes it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn close(self) -> Result<()> {
        self.call("Page.close", json!({})).await.map(drop)
    }

    /// What a script comes to.
    ///
    /// # Errors
    /// When it throws.
    pub async fn eval(&self, script: &str) -> Result<Value> {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", params).await?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{script}: {thrown}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until a script comes to something true.
    ///
    /// # Errors
    /// When it never does; with what stands on the page.
    pub async fn until(&self, what: &str, script: &str) -> Result<()> {
        eventually(what, async || {
            let value = self.eval(script).await?;
            ensure!(value == json!(true), "{script} is {value}; the page says: {}", self.text().await?);
            Ok(())
        })
        .await
    }

    /// What stands on the page.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn text(&self) -> Result<String> {
        let text = self.eval("document.body ? document.body.innerText : ''").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page says this.
    ///
    /// # Errors
    /// When it never does.
    pub async fn says(&self, text: &str) -> Result<()> {
        self.until(text, &format!("document.body.innerText.includes({})", json!(text))).await
    }

    /// Presses the mouse on the first element of this selector, as a person would.
    ///
    /// # Errors
    /// When there is none.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let place = format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView({{block: 'center'}}); \
             const {{x, y, width, height}} = it.getBoundingClientRect(); return [x + width / 2, y + height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&place).await?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Types a text where the keyboard is.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn type_in(&self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).await.map(drop)
    }

    /// Presses a key, such as `Tab`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn press(&self, key: &str) -> Result<()> {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => bail!("{key}: no test has pressed it yet"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// What keeps people from using this page: each rule that it breaks, and where.
    ///
    /// # Errors
    /// When axe does not run.
    pub async fn violations(&self) -> Result<Vec<String>> {
        let axe = std::fs::read_to_string(Tool::Axe.path()?)?;
        self.eval(&format!("{axe};0")).await?;
        let run = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((it) => \
                   it.id + ': ' + it.nodes.map((node) => node.target + ' ' + node.failureSummary).join('; ')))";
        Ok(serde_json::from_value(self.eval(run).await?)?)
    }

    /// What the page has complained of: exceptions, what could not be fetched, what its policy forbids.
    pub fn complaints(&self) -> Vec<String> {
        let heard = self.wire.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let own = heard.complaints.iter().filter(|(session, _)| *session == self.session);
        own.map(|(_, complaint)| complaint.clone()).collect()
    }

    /// Keeps a picture of the page, of no more than `height`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn picture(&self, file: &Path, height: u32) -> Result<()> {
        let size = self
            .eval("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
            .await?;
        let whole = size[1].as_u64().unwrap_or_default().min(height.into());
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": whole, "scale": 1});
        let params =
            json!({"format": "png", "clip": clip, "captureBeyondViewport": true, "optimizeForSpeed": false});
        let picture = self.call("Page.captureScreenshot", params).await?;
        let ByteString(data) = serde_json::from_value(picture["data"].clone())?;
        Ok(std::fs::write(file, data)?)
    }
}

impl Wire {
    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).waiting.insert(id, answer);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let mut input = self.input.lock().await;
        input.write_all(format!("{message}\0").as_bytes()).await?;
        input.flush().await?;
        drop(input);
        let answer = timeout(PATIENCE, answered).await.with_context(|| format!("{method} has no answer"))?;
        let answer = answer.with_context(|| format!("{method}: the browser has ended"))?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].clone())
    }
}

async fn listen(wire: Arc<Wire>, output: ChildStdout) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(0, &mut line).await {
        let message: Value =
            serde_json::from_slice(line.strip_suffix(b"\0").unwrap_or(&line)).unwrap_or_default();
        line.clear();
        let mut heard = wire.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = message["id"].as_u64() {
            if let Some(waiting) = heard.waiting.remove(&id) {
                let _ = waiting.send(message);
            }
        } else if let Some(complaint) = complaint(&message) {
            let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
            heard.complaints.push((session, complaint));
        }
    }
    // Whoever still waits is told.
    wire.heard.lock().unwrap_or_else(PoisonError::into_inner).waiting.clear();
}

fn complaint(message: &Value) -> Option<String> {
    let params = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => Some(params["entry"]["text"].to_string()),
        _ => None,
    }
}
