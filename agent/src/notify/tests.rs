//! Each channel against a stand-in of its provider, which takes only what the provider's documentation has.

mod mail;
mod providers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};
use serin_release::ReleaseObject;
use serin_release::notification::{Channel, JsonTemplate, Target};
use serin_release::status::StepStatus;
use serin_rollout::{Actor, Event, Outcome, Reason};
use url::Url;

use super::outbox::News;
use super::*;
use crate::view::View;

/// A Release as the command line's tests have it, of a mesh.
const ROLLED_BACK: &str = include_str!("../../../cli/src/cluster/fixtures/rolled-back.json");

/// That Release and its Deployments.
fn rolled_back() -> (ReleaseObject, Vec<Deployment>) {
    let mut fixture: Value = serde_json::from_str(ROLLED_BACK).unwrap();
    let mut part = |name: &str| fixture[name].take();
    (serde_json::from_value(part("release")).unwrap(), serde_json::from_value(part("deployments")).unwrap())
}

fn message(reason: &Reason) -> Message {
    let (object, deployments) = rolled_back();
    let view = View::of(&object, &deployments, Vec::new());
    let at = Timestamp::from_second(1_795_000_000).unwrap();
    let link = Some("https://serin.example.com/shop".to_owned());
    Message::of("8f1e-7".to_owned(), &News::from(reason), &view, link, at)
}

/// A version is taken back.
pub(super) fn rollback() -> Message {
    let text = rolled_back().0.status.unwrap().message;
    let message = message(&Outcome::Aborted { by: "ann".to_owned() }.into());
    Message {
        event: "RolledBack".to_owned(),
        severity: serin_release::resource::Level::Critical,
        text,
        ..message
    }
}

/// A step begins.
pub(super) fn step() -> Message {
    let weight = serin_policy::Weight::from_ppm(100_000).unwrap();
    let message = message(&Event::StepBegun { step: 1, of: 4, weight, by: Actor::Planner }.into());
    Message { step: Some(StepStatus { index: 1, of: 4 }), weight: weight.into(), ..message }
}

/// What a stand-in was asked.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: HeaderMap,
    body: Value,
}

type Answer = fn(&Asked) -> (StatusCode, Value);

/// A stand-in of all providers at once.
struct StandIn {
    url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    async fn begin(answer: Answer) -> Self {
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let router = Router::new().fallback(take).with_state((Arc::clone(&asked), answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Brings `due` to `channel`, all of whose addresses are this one.
    async fn bring(&self, channel: &Channel<()>, due: &Due) -> Result<Option<String>, Failure> {
        let secret = match channel {
            Channel::PagerDuty { .. } => "R0123456789ABCDEF0123456789ABCDE",
            channel if providers::is_token(channel) => "the-token\n",
            _ => "https://provider.example/hook/secret\n",
        };
        let check = |address: &str| {
            let mut url = Url::parse(address).unwrap();
            let there = (self.url.host_str(), self.url.port());
            url.set_scheme("http").unwrap();
            url.set_host(there.0).unwrap();
            url.set_port(there.1).unwrap();
            Ok(url)
        };
        Courier::new().unwrap().bring(due, channel, Some(secret), check).await
    }
}

async fn take(
    State((asked, answer)): State<(Arc<Mutex<Vec<Asked>>>, Answer)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let request = Asked { path: uri.to_string(), headers, body };
    let (status, answer) = answer(&request);
    asked.lock().unwrap().push(request);
    (status, [("retry-after", "120"), ("location", "/elsewhere")], answer.to_string()).into_response()
}

fn due(message: Message, thread: Option<&str>) -> Due {
    Due { channel: Key::Release("team".to_owned()), message, thread: thread.map(str::to_owned) }
}

fn open(token: Option<()>) -> Target<()> {
    Target::Open { url: "http://provider.example/in".to_owned(), token }
}

/// One channel of each kind, and where its provider listens.
fn channels() -> Vec<(Channel<()>, &'static str)> {
    let template = JsonTemplate::parse(r#"{"summary": {{ title }}, "failed": {{ canaryFailed }}}"#).unwrap();
    vec![
        (Channel::Slack { address: () }, "/hook/secret"),
        (Channel::SlackBot { channel: "C024BE91L".to_owned(), token: () }, "/api/chat.postMessage"),
        (Channel::Teams { address: () }, "/hook/secret"),
        (Channel::Discord { address: () }, "/hook/secret"),
        (
            Channel::GoogleChat { address: () },
            "/hook/secret?messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD",
        ),
        (Channel::Webhook { to: open(Some(())), template: Some(template) }, "/in"),
        (Channel::Webhook { to: Target::Secret(()), template: None }, "/hook/secret"),
        (Channel::CloudEvents { to: open(None) }, "/in"),
        (Channel::Alertmanager { to: open(None) }, "/in/api/v2/alerts"),
        (Channel::PagerDuty { key: () }, "/v2/enqueue"),
        (
            Channel::Grafana { url: "http://grafana.example/sub/".to_owned(), token: () },
            "/sub/api/annotations",
        ),
        (
            Channel::GitHub {
                repository: "example/shop".to_owned(),
                environment: "production".to_owned(),
                commit_status: false,
                token: (),
            },
            "/repos/example/shop/deployments",
        ),
    ]
}

#[tokio::test]
async fn each_provider_takes_what_it_is_sent() {
    for (channel, path) in channels() {
        for message in [rollback(), step()] {
            let stand_in = StandIn::begin(providers::answer).await;
            let delivered = stand_in.bring(&channel, &due(message.clone(), None)).await;
            let asked = stand_in.asked();
            let refused: Vec<_> =
                asked.iter().filter_map(|asked| providers::check(&channel, asked).err()).collect();
            assert!(refused.is_empty(), "{channel:?}: {refused:?}: {asked:#?}");
            assert!(delivered.is_ok(), "{channel:?}: {delivered:?}: {asked:#?}");
            assert_eq!(asked[0].path, path, "{channel:?}");
            assert!(asked.iter().all(|asked| asked.headers["idempotency-key"] == *message.id));
            let token = asked[0].headers.get("authorization").map(|value| value.to_str().unwrap());
            let is_token = providers::is_token(&channel);
            assert_eq!(token, is_token.then_some("Bearer the-token"), "{channel:?}");
        }
    }
}

#[tokio::test]
async fn a_run_has_one_message_of_slacks_bot_which_is_kept_up_to_date_and_one_deployment_on_github() {
    let bot = Channel::SlackBot { channel: "C024BE91L".to_owned(), token: () };
    let stand_in = StandIn::begin(providers::answer).await;
    let thread = stand_in.bring(&bot, &due(step(), None)).await.unwrap();
    assert_eq!(thread.as_deref(), Some("17.3"));
    stand_in.bring(&bot, &due(rollback(), thread.as_deref())).await.unwrap();
    let asked = stand_in.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage"]);
    assert_eq!((&asked[1].body["ts"], &asked[2].body["thread_ts"]), (&json!("17.3"), &json!("17.3")));

    let (github, _) = channels().pop().unwrap();
    let stand_in = StandIn::begin(providers::answer).await;
    let thread = stand_in.bring(&github, &due(step(), None)).await.unwrap();
    let next = Message { id: "8f1e-8".to_owned(), ..rollback() };
    stand_in.bring(&github, &due(next, thread.as_deref())).await.unwrap();
    let asked = stand_in.asked();
    let states: Vec<_> = asked.iter().map(|asked| asked.body["state"].clone()).collect();
    assert_eq!(states, [Value::Null, json!("in_progress"), json!("failure")]);
    assert_eq!(asked[2].path, "/repos/example/shop/deployments/42/statuses");
}

#[tokio::test]
async fn a_commit_has_a_status_on_github_if_its_version_says_which_it_is() {
    let (mut github, _) = channels().pop().unwrap();
    if let Channel::GitHub { commit_status, .. } = &mut github {
        *commit_status = true;
    }
    let of = |commit: Option<&str>| {
        let mut message = rollback();
        message.canary.commit = commit.map(str::to_owned);
        due(message, Some("42"))
    };
    let stand_in = StandIn::begin(providers::answer).await;
    stand_in.bring(&github, &of(Some("5d5b1f0"))).await.unwrap();
    let asked = stand_in.asked();
    assert_eq!(asked[1].path, "/repos/example/shop/statuses/5d5b1f0");
    let refused: Vec<_> = asked.iter().filter_map(|asked| providers::check(&github, asked).err()).collect();
    assert!(refused.is_empty(), "{refused:?}: {asked:#?}");
    let failure = stand_in.bring(&github, &of(None)).await.unwrap_err();
    assert!(
        failure.why.contains("give it the annotation org.opencontainers") && !failure.again,
        "{failure:?}"
    );
    assert_eq!(failure.given.as_deref(), Some("42 8f1e-7"));
}

#[tokio::test]
async fn a_deployment_on_github_gets_each_status_once_though_that_of_the_commit_is_tried_again() {
    let (mut github, _) = channels().pop().unwrap();
    if let Channel::GitHub { commit_status, .. } = &mut github {
        *commit_status = true;
    }
    let stand_in = StandIn::begin(|asked| match asked.path.as_str() {
        "/repos/example/shop/statuses/5d5b1f0" => (StatusCode::BAD_GATEWAY, json!("")),
        _ => providers::answer(asked),
    })
    .await;
    let mut message = step();
    message.canary.commit = Some("5d5b1f0".to_owned());
    let first = stand_in.bring(&github, &due(message.clone(), None)).await.unwrap_err();
    let again = stand_in.bring(&github, &due(message, first.given.as_deref())).await.unwrap_err();
    assert!(first.again && again.again && first.given == again.given, "{first:?} {again:?}");
    let asked = stand_in.asked();
    let paths: Vec<_> =
        asked.iter().map(|asked| asked.path.trim_start_matches("/repos/example/shop/")).collect();
    assert_eq!(paths, ["deployments", "deployments/42/statuses", "statuses/5d5b1f0", "statuses/5d5b1f0"]);

    let next = Message { id: "8f1e-8".to_owned(), ..rollback() };
    stand_in.bring(&github, &due(next, first.given.as_deref())).await.unwrap_err();
    assert_eq!(stand_in.asked()[4].path, "/repos/example/shop/deployments/42/statuses");
}

/// What is made of such an answer: whether it may pass, and in how many seconds it may be tried again.
async fn check(answer: Answer, expected: Option<(bool, Option<u64>)>) {
    let stand_in = StandIn::begin(answer).await;
    let outcome = stand_in.bring(&Channel::Slack { address: () }, &due(step(), None)).await;
    let found = outcome.err().map(|failure| (failure.again, failure.after.map(|after| after.as_secs())));
    assert_eq!(found, expected);
    assert_eq!(stand_in.asked().len(), 1, "one request, whatever comes back");
}

#[tokio::test]
async fn an_answer_says_whether_another_attempt_makes_sense() {
    let later = Some(120);
    check(|_| (StatusCode::OK, json!("ok")), None).await;
    check(|_| (StatusCode::SERVICE_UNAVAILABLE, json!("")), Some((true, later))).await;
    check(|_| (StatusCode::TOO_MANY_REQUESTS, json!("")), Some((true, later))).await;
    check(|_| (StatusCode::NOT_FOUND, json!("")), Some((false, later))).await;
    // A redirect is not followed: it may lead anywhere.
    check(|_| (StatusCode::TEMPORARY_REDIRECT, json!("")), Some((false, later))).await;
}

#[tokio::test]
async fn what_slack_refuses_with_200_is_no_success_and_nobody_there_is_one_that_passes() {
    let bot = Channel::SlackBot { channel: "C024BE91L".to_owned(), token: () };
    let stand_in =
        StandIn::begin(|_| (StatusCode::OK, json!({"ok": false, "error": "channel_not_found"}))).await;
    let failure = stand_in.bring(&bot, &due(step(), None)).await.unwrap_err();
    assert_eq!(failure, Failure::lasting("Slack answers channel_not_found"));
    let gone = StandIn { url: Url::parse("http://127.0.0.1:1").unwrap(), asked: Arc::default() };
    let failure = gone.bring(&Channel::Slack { address: () }, &due(step(), None)).await.unwrap_err();
    assert!(failure.again && !failure.why.contains("secret"), "{failure:?}");
    assert!(failure.after.is_none_or(|after| after < Duration::from_secs(1)));
}
