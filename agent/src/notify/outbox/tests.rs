use std::time::Duration;

use serin_release::notification::Channel;
use serin_release::resource::SecretKey;
use serin_rollout::{Actor, Event, Hold, Outcome, Sought};

use super::*;
use crate::view::View;

const STEP: u32 = 100_000;

fn after(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn weight(ppm: u32) -> Weight {
    Weight::from_ppm(ppm).unwrap()
}

fn step_begun() -> Reason {
    Event::StepBegun { step: 1, of: 2, weight: weight(STEP), by: Actor::Planner }.into()
}

fn approval() -> Reason {
    Hold::AwaitsApproval { step: 1, of: 2, weight: weight(STEP), sought: Sought::default() }.into()
}

fn aborted() -> Reason {
    Outcome::Aborted { by: "ann".to_owned() }.into()
}

/// Looks at these reasons at these seconds, each at a weight: what of it is new.
#[track_caller]
fn check(looks: &[(i64, u32, &[Reason], &[&str])]) {
    let mut outbox = Outbox::default();
    for (seconds, ppm, reasons, expected) in looks {
        // What was saved is what the next agent goes on from.
        let saved = serde_json::to_string(&outbox).unwrap();
        outbox = serde_json::from_str(&saved).unwrap();
        let news = outbox.news(reasons, "v2", weight(*ppm), after(*seconds));
        let events: Vec<_> = news.iter().map(|news| news.event).collect();
        assert_eq!(events, *expected, "after {seconds} s");
    }
}

#[test]
fn what_lasts_is_told_once_though_agents_change() {
    check(&[
        (0, STEP, &[step_begun(), approval()], &["StepBegun", "AwaitsApproval"]),
        (1, STEP, &[approval()], &[]),
        (700, STEP, &[approval()], &[]),
        (701, 0, &[aborted()], &["Aborted"]),
        (702, 0, &[aborted()], &[]),
    ]);
}

#[test]
fn what_comes_and_goes_is_told_again_after_a_while_and_of_another_share_at_once() {
    let capacity = || Reason::from(Hold::StableDown);
    check(&[
        (0, STEP, &[capacity()], &["StableDown"]),
        (10, STEP, &[], &[]),
        (20, STEP, &[capacity()], &[]),
        (30, STEP, &[], &[]),
        (700, STEP, &[capacity()], &["StableDown"]),
        (710, 2 * STEP, &[capacity()], &["StableDown"]),
    ]);
}

#[test]
fn how_the_last_run_ended_is_no_news_when_somebody_is_to_be_told_for_the_first_time() {
    check(&[
        (0, 0, &[aborted()], &[]),
        (10, 0, &[step_begun()], &["StepBegun"]),
        (20, 0, &[aborted()], &["Aborted"]),
    ]);
}

fn notification(severity: Level, events: Option<&[&str]>) -> Notification {
    let secret = SecretKey { name: "serin-notifications".to_owned(), key: "slack".to_owned() };
    Notification {
        name: "team".to_owned(),
        severity,
        events: events.map(|events| events.iter().map(ToString::to_string).collect()),
        channel: Channel::Slack { address: secret },
    }
}

#[test]
fn a_channel_is_told_by_severity_or_by_name() {
    let observing =
        || Hold::Observing { step: 1, of: 2, weight: weight(STEP), duration: Duration::from_secs(1) }.into();
    for (severity, events, reason, expected) in [
        (Level::Info, None, step_begun(), true),
        (Level::Info, None, approval(), true),
        (Level::Info, None, observing(), false),
        (Level::Info, None, aborted(), true),
        (Level::Warning, None, step_begun(), false),
        (Level::Warning, None, aborted(), true),
        (Level::Critical, None, aborted(), false),
        (Level::Critical, None, Hold::StableDown.into(), true),
        (Level::Critical, Some(&["Observing"][..]), observing(), true),
        (Level::Info, Some(&["Observing"][..]), aborted(), false),
    ] {
        let notification = notification(severity, events);
        let found = News::from(&reason).is_for(&notification);
        assert_eq!(found, expected, "{severity:?} {events:?}: {reason}");
    }
}

fn message(number: u32, run: &str) -> Message {
    let view = View::of_status(&serin_release::ReleaseObject {
        metadata: kube::core::ObjectMeta::default(),
        spec: serin_release::resource::Spec::default(),
        status: None,
    });
    let message = Message::of(format!("uid-{number}"), &News::from(&aborted()), &view, None, after(0));
    Message { run: Some(run.to_owned()), ..message }
}

fn team() -> Key {
    Key::Release("team".to_owned())
}

fn ended(number: u32, outcome: Result<Option<String>, Failure>) -> Delivery {
    Delivery { channel: team(), message: format!("uid-{number}"), outcome }
}

/// The ids of what is due after so many seconds, each with its thread.
fn due(outbox: &mut Outbox, seconds: i64) -> Vec<(String, Option<String>)> {
    outbox.begin(after(seconds)).into_iter().map(|due| (due.message.id, due.thread)).collect()
}

#[test]
fn a_channel_gets_one_message_after_the_other_and_a_run_keeps_its_thread() {
    let mut outbox = Outbox::default();
    for (number, run) in [(1, "v2"), (2, "v2"), (3, "v3")] {
        outbox.put(message(number, run), vec![team()]);
    }
    assert_eq!(due(&mut outbox, 0), [("uid-1".to_owned(), None)]);
    assert_eq!(due(&mut outbox, 1), [], "the first one is under way");
    assert!(outbox.end(&ended(1, Ok(Some("17.3".to_owned()))), after(2)).is_some());
    assert_eq!(due(&mut outbox, 2), [("uid-2".to_owned(), Some("17.3".to_owned()))]);
    assert!(outbox.end(&ended(2, Ok(Some("17.3".to_owned()))), after(2)).is_some());
    assert_eq!(due(&mut outbox, 2), [("uid-3".to_owned(), None)], "another run has a message of its own");
}

#[test]
fn an_attempt_that_nobody_knows_the_end_of_is_made_again_later_and_ever_more_rarely() {
    let mut outbox = Outbox::default();
    outbox.put(message(1, "v2"), vec![team()]);
    let (mut tries, mut now) = (Vec::new(), 0);
    while outbox.next().is_some() {
        now = outbox.next().unwrap().as_second();
        tries.push(now);
        assert_eq!(due(&mut outbox, now).len(), 1);
        outbox.end(&ended(1, Err(Failure::passing("it answers 503"))), after(now));
    }
    assert_eq!(tries.len(), usize::try_from(ATTEMPTS).unwrap());
    assert_eq!(tries[..6], [0, 20, 60, 140, 300, 600]);
    assert!((3000..4500).contains(&now), "given up after {now} s");
}

#[test]
fn what_nobody_mends_is_not_tried_again_and_a_provider_may_ask_for_time() {
    let mut outbox = Outbox::default();
    outbox.put(message(1, "v2"), vec![team()]);
    assert_eq!(due(&mut outbox, 0).len(), 1);
    let busy = Failure { after: Some(Duration::from_mins(2)), ..Failure::passing("it answers 429") };
    assert_eq!(outbox.end(&ended(1, Err(busy)), after(1)), None);
    assert_eq!(outbox.next(), Some(after(121)));
    assert_eq!(due(&mut outbox, 121).len(), 1);
    assert!(outbox.end(&ended(1, Err(Failure::lasting("it answers 404"))), after(122)).is_some());
    assert_eq!(outbox.next(), None);
}

#[test]
fn an_attempt_waits_as_long_by_another_clock() {
    let mut outbox = Outbox::default();
    outbox.put(message(1, "v2"), vec![team()]);
    assert_eq!(due(&mut outbox, 0).len(), 1);
    // The next leader's clock is an hour behind.
    outbox.clock_moved(SignedDuration::from_hours(-1));
    assert_eq!(due(&mut outbox, -3600 + 14), []);
    assert_eq!(due(&mut outbox, -3600 + 20).len(), 1);
}

#[test]
fn of_too_many_messages_the_oldest_is_left_out_and_those_for_nobody_are_forgotten() {
    let mut outbox = Outbox::default();
    let left_out: Vec<_> =
        (0..40).flat_map(|number| outbox.put(message(number, "v2"), vec![team()])).collect();
    assert_eq!((left_out.len(), outbox.waiting.len()), (40 - WAITING, WAITING));
    outbox.keep_only(|_| false);
    assert!(outbox.waiting.is_empty());
}
