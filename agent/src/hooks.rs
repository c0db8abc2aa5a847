/*!
Asking those who are to be asked at points of a run, as Flagger asks them: the same words for the same questions, so that its
load tester and whatever else was written for it answer as they do there.
*/
pub mod checks;
pub mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Serialize;
use serin_release::hook::Load;
use serin_release::resource::When;
use serin_rollout::Phase;
use tokio::sync::Semaphore;
use xxhash_rust::xxh64::xxh64;

use self::checks::Target;
use crate::errors::chain;
use crate::http;
use crate::reach::Reached;
use crate::serve::modules::sha256;

/// How much of what somebody says is told.
const TOLD: usize = 200;

/// How many Releases may have load made at once.
const MOST_LOADS: usize = 4;

/// How many of its last lines.
const LAST_LINES: usize = 3;

/// How much of an answer is read.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Who asks.
const USER_AGENT: &str = concat!("serin/", env!("CARGO_PKG_VERSION"));

/// What a hook is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payload<'p> {
    name: &'p str,
    namespace: &'p str,
    phase: &'static str,
    checksum: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl<'p> Payload<'p> {
    /// The question of a hook that is asked at `when`, and has `metadata` sent along, in `run` of the Release `name`, which
    /// stands at `phase`.
    pub fn of(
        when: When,
        metadata: &'p BTreeMap<String, String>,
        (namespace, name): (&'p str, &'p str),
        run: &str,
        phase: &Phase,
    ) -> Self {
        // The same for the same version: the load tester runs one command for it at a time.
        let checksum = format!("{:016x}", xxh64(format!("{namespace}/{name}/{run}").as_bytes(), 0));
        Self { name, namespace, phase: flaggers(when, phase), checksum, metadata }
    }
}

/// Flagger's word for where a run stands.
fn flaggers(when: When, phase: &Phase) -> &'static str {
    match (when, phase) {
        (When::ConfirmRollout, _) => "Waiting",
        (When::PostRollout, Phase::RolledBack { .. } | Phase::Aborted { .. }) => "Failed",
        (When::PostRollout, _) => "Succeeded",
        _ => "Progressing",
    }
}

/// Asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asker {
    http: reqwest::Client,
    /// Load that may be made at once: this is no load generator.
    loads: Arc<Semaphore>,
}

impl Asker {
    /// One that has asked nothing yet.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub fn new() -> reqwest::Result<Self> {
        let http = http::secure().redirect(Policy::none());
        Ok(Self { http: http.user_agent(USER_AGENT).build()?, loads: Arc::new(Semaphore::new(MOST_LOADS)) })
    }

    /// Makes the requests of `load`, when it is its turn. Returns what came back, in a sentence.
    ///
    /// # Errors
    /// The same, and why it is not good enough.
    pub async fn load(&self, load: &Load, target: &Target, patience: Duration) -> Result<String, String> {
        // It is never closed.
        let _turn = self.loads.acquire().await;
        load::run(load, target, patience).await
    }

    /// Asks whoever is at `reached`, and waits for `timeout` at most. Who is asked the same twice can tell by its `key`.
    ///
    /// # Errors
    /// Why the answer is no, in a sentence.
    pub async fn ask(
        &self,
        reached: Reached,
        payload: &Payload<'_>,
        key: &str,
        timeout: Duration,
    ) -> Result<(), String> {
        let Reached { url, is_own } = reached;
        // Whatever is in a name, a header can hold this.
        let key = sha256(key.as_bytes());
        let request = self.http.post(url).timeout(timeout).header("idempotency-key", key).json(payload);
        let mut response = request.send().await.map_err(|error| {
            if error.is_timeout() {
                format!("no answer in {timeout:?}")
            } else {
                format!("no answer: {}", chain(&error.without_url()))
            }
        })?;
        let status = response.status();
        // Flagger takes these three for a yes.
        if (200..=202).contains(&status.as_u16()) {
            return Ok(());
        }
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            said.extend_from_slice(&chunk);
            if !is_own || said.len() > LONGEST_ANSWER {
                break;
            }
        }
        Err(match last_line(&said).filter(|_| is_own) {
            Some(line) => format!("it answers {status}: {line}"),
            None => format!("it answers {status}"),
        })
    }
}

/// The last line of what somebody says that has something in it.
fn last_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(shortened(line))
}

/// The last lines of what somebody says that have something in them, in one.
pub fn last_lines(text: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..)?.join(" / ");
    let left_out = last.chars().count().saturating_sub(TOLD);
    let last: String = last.chars().filter(|letter| !letter.is_control()).skip(left_out).collect();
    (!last.is_empty()).then_some(last)
}

/// As much of what somebody says as is told.
fn shortened(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use serde_json::json;
    use serin_rollout::{Cause, Emptying};
    use url::Url;

    use super::*;

    fn metadata() -> BTreeMap<String, String> {
        [("type".to_owned(), "bash".to_owned())].into()
    }

    #[test]
    fn a_question_is_flaggers_word_for_word() {
        let rolled_back = Phase::RolledBack { cause: Cause::FoundClosed, canary: Emptying::Empty };
        for (when, phase, expected) in [
            (When::ConfirmRollout, Phase::Preparing { reported: true }, "Waiting"),
            (When::PreRollout, Phase::Preparing { reported: true }, "Progressing"),
            (When::PostRollout, Phase::Settled, "Succeeded"),
            (When::PostRollout, rolled_back, "Failed"),
        ] {
            let payload = json!(Payload::of(when, &metadata(), ("shop", "web"), "v2", &phase));
            let checksum = payload["checksum"].as_str().unwrap();
            assert!(checksum.len() == 16, "{checksum}");
            let expected = json!({"name": "web", "namespace": "shop", "phase": expected, "checksum": checksum,
                "metadata": {"type": "bash"}});
            assert_eq!(payload, expected);
        }
    }

    #[test]
    fn the_last_lines_are_told_and_of_long_ones_the_end() {
        assert_eq!(last_lines("a\n\nb \nc\x07\nd\n").as_deref(), Some("b / c / d"));
        assert_eq!(last_lines("one").as_deref(), Some("one"));
        assert_eq!(last_lines(&format!("{}end", "x".repeat(500))).unwrap().len(), TOLD);
        assert_eq!(last_lines(" \n"), None);
    }

    /// What comes of asking one that answers so: nothing for yes, or why not.
    async fn check(path: &str, is_own: bool, expected: Result<(), &str>) {
        let router = Router::new()
            .route("/ok", post(async || StatusCode::ACCEPTED))
            .route("/later", post(async || (StatusCode::NO_CONTENT, "")))
            .route("/no", post(async || (StatusCode::FORBIDDEN, "line one\n\x07the gate is shut\n\n")))
            .route("/never", post(std::future::pending::<StatusCode>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}{path}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        let metadata = metadata();
        let payload = Payload::of(When::PreRollout, &metadata, ("shop", "web"), "v2", &Phase::Settled);
        let timeout = Duration::from_millis(500);
        let answer =
            Asker::new().unwrap().ask(Reached { url, is_own }, &payload, "v2/smoke/1", timeout).await;
        assert_eq!(answer, expected.map_err(str::to_owned));
    }

    #[tokio::test]
    async fn an_answer_is_yes_or_why_not_and_only_ones_own_are_quoted() {
        check("/ok", false, Ok(())).await;
        check("/later", false, Err("it answers 204 No Content")).await;
        check("/no", true, Err("it answers 403 Forbidden: the gate is shut")).await;
        check("/no", false, Err("it answers 403 Forbidden")).await;
        check("/never", true, Err("no answer in 500ms")).await;
    }
}
