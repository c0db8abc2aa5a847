/*!
Load for a new version before it has users: so many requests a second, for so long, to the places that the cluster has for it, and
to nowhere else.
*/
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use serin_release::Percent;
use serin_release::hook::{Check, Load};
use serin_rollout::Grouped;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::checks::{self, Target};

/// How many requests of one load wait for their answers at most. Another one is not sent, and counts as failed: a version that
/// answers nobody is not piled up on.
const MOST_IN_FLIGHT: usize = 200;

/// What came back, of one request or of many.
#[derive(Debug, Default)]
struct Tally {
    /// How long the good answers took.
    took: Vec<Duration>,
    /// The others, by what was wrong with them.
    failed: BTreeMap<String, usize>,
}

/// Makes the requests of `load` to `target`; each answer may take `patience`. Returns what came back, in a sentence.
///
/// # Errors
/// The same, and why it is not good enough.
pub async fn run(load: &Load, target: &Target, patience: Duration) -> Result<String, String> {
    let client = |place: &SocketAddr| Ok((checks::client(target, *place)?, *place));
    let clients = target.places.iter().map(client).collect::<Result<Vec<_>, String>>()?;
    let (check, target) = (Arc::new(load.request.clone()), Arc::new(target.clone()));
    let slots = Arc::new(Semaphore::new(MOST_IN_FLIGHT));
    let mut beat = interval(Duration::from_secs(1) / load.rate.max(1));
    // What is late is left out, and not made up for by a burst.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut tally, mut under_way) = (Tally::default(), JoinSet::new());
    let end = Instant::now() + load.duration;
    for (client, place) in clients.iter().cycle() {
        if timeout_at(end, beat.tick()).await.is_err() {
            break;
        }
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tally.fail("too many wait for an answer".to_owned());
            continue;
        };
        let (client, place, check, target) =
            (client.clone(), *place, Arc::clone(&check), Arc::clone(&target));
        under_way.spawn(async move {
            let answered = request(&client, &check, &target, place, patience).await;
            drop(slot);
            answered
        });
        while let Some(Ok(answered)) = under_way.try_join_next() {
            tally.take_in(answered);
        }
    }
    while let Some(answered) = under_way.join_next().await {
        if let Ok(answered) = answered {
            tally.take_in(answered);
        }
    }
    tally.judge(load)
}

/// How long a good answer takes, with all of its body.
async fn request(
    client: &Client,
    check: &Check,
    target: &Target,
    place: SocketAddr,
    patience: Duration,
) -> Result<Duration, String> {
    let began = Instant::now();
    let answer = async {
        let response = checks::send(client, check, target, place).await?;
        let status = response.status();
        checks::body(response).await?;
        let is_good = status.is_success() || status.is_redirection();
        if is_good { Ok(began.elapsed()) } else { Err(format!("it answers {}", status.as_u16())) }
    };
    timeout_at(began + patience, answer).await.unwrap_or_else(|_| Err(format!("no answer in {patience:?}")))
}

impl Tally {
    fn take_in(&mut self, answered: Result<Duration, String>) {
        match answered {
            Ok(took) => self.took.push(took),
            Err(why) => self.fail(why),
        }
    }

    fn fail(&mut self, why: String) {
        *self.failed.entry(why).or_default() += 1;
    }

    /// What it comes to.
    fn judge(mut self, load: &Load) -> Result<String, String> {
        let failed: usize = self.failed.values().sum();
        let all = self.took.len() + failed;
        self.took.sort_unstable();
        // The smallest that 99 % of them are not above.
        let at = (self.took.len() * 99).div_ceil(100).saturating_sub(1);
        let latency = self.took.get(at).copied();
        let number = |count: usize| Grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let often = self.failed.iter().max_by_key(|(_, times)| **times);
        let often = often.map(|(why, times)| format!(", {} of them because {why}", number(*times)));
        let took = latency.map(|latency| format!(", p99 {}ms", latency.as_millis()));
        let told = format!(
            "{} requests, {} failed{}{}",
            number(all),
            number(failed),
            often.unwrap_or_default(),
            took.unwrap_or_default()
        );
        if all == 0 {
            return Err("no request could be made".to_owned());
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let share = failed as f64 / all as f64;
        if Percent::at_least(share).is_none_or(|share| share > load.max_failures) {
            let percent = load.max_failures;
            return Err(format!("{told}: more than {percent}, its maxFailures"));
        }
        match load.max_latency {
            Some(most) if latency.is_some_and(|latency| latency > most) => {
                Err(format!("{told}: longer than {most:?}, its maxLatency"))
            }
            _ => Ok(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use serin_release::resource::Through;

    use super::*;

    /// What comes of a second of load to a version that answers in all ways.
    async fn outcome(path: &str, max_failures: &str, max_latency: Option<u64>) -> Result<String, String> {
        let router = Router::new()
            .route("/ok", get(async || "ok"))
            .route("/bad", get(async || StatusCode::SERVICE_UNAVAILABLE))
            .route("/never", get(std::future::pending::<StatusCode>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let places = vec![listener.local_addr().unwrap()];
        tokio::spawn(axum::serve(listener, router).into_future());
        let host = "shop.example.com".to_owned();
        let target = Target { places, host, is_tls: false, tester: None, is_own: true };
        let load = Load {
            request: Check { path: path.to_owned(), ..checks::tests::check("/") },
            rate: 50,
            duration: Duration::from_secs(1),
            max_failures: Percent::parse(max_failures).unwrap(),
            max_latency: max_latency.map(Duration::from_millis),
        };
        assert_eq!(load.request.through, Through::Canary);
        run(&load, &target, Duration::from_millis(300)).await
    }

    fn expect(found: &Result<String, String>, is_good: bool, part: &str) {
        let text = found.as_ref().unwrap_or_else(|why| why);
        assert!(found.is_ok() == is_good && text.contains(part), "{found:?}");
    }

    #[tokio::test]
    async fn load_tells_requests_failures_and_latency_and_fails_beyond_its_limits() {
        expect(&outcome("/ok", "0", None).await, true, " requests, 0 failed, p99 ");
        expect(
            &outcome("/bad", "1", None).await,
            false,
            "because it answers 503: more than 1%, its maxFailures",
        );
        expect(&outcome("/bad", "100", None).await, true, "because it answers 503");
        expect(&outcome("/ok", "0", Some(0)).await, false, ": longer than 0ns, its maxLatency");
        expect(&outcome("/never", "50", None).await, false, "because no answer in 300ms");
    }
}
