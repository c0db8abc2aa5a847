//! Who is asked when, with a clock that only goes on when everybody waits.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What proxies do, by the third number of their address.
const ANSWERS: u8 = 0;
const HANGS: u8 = 1;
/// It answers once, and then never again.
const FREEZES: u8 = 2;

/// Proxies without a network.
#[derive(Debug, Default)]
struct Stubs {
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    asked: Mutex<Vec<(IpAddr, Instant)>>,
}

#[derive(Debug, Clone, Default)]
struct Asking(Arc<Stubs>);

impl Ask for Asking {
    async fn ask(&self, address: IpAddr) -> Result<Sample, ScrapeError> {
        let stubs = &self.0;
        let at_once = stubs.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        stubs.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        let before = self.times_of(address).len();
        stubs.asked.lock().unwrap().push((address, Instant::now()));
        let IpAddr::V4(v4) = address else { panic!("{address}") };
        match v4.octets()[2] {
            ANSWERS => sleep(Duration::from_millis(2)).await,
            FREEZES if before == 0 => {}
            FREEZES => std::future::pending().await,
            _ => sleep(DEADLINE).await,
        }
        stubs.at_once.fetch_sub(1, Ordering::Relaxed);
        if v4.octets()[2] == HANGS {
            return Err(ScrapeError::Format { url: address.to_string() });
        }
        Ok(Sample { uptime_s: before as u64, ..Sample::default() })
    }
}

impl Asking {
    fn times_of(&self, address: IpAddr) -> Vec<Instant> {
        let asked = self.0.asked.lock().unwrap();
        asked.iter().filter(|(one, _)| *one == address).map(|(_, at)| *at).collect()
    }
}

/// So many proxies that do `what`.
fn proxies(what: u8, count: u8) -> Vec<IpAddr> {
    (0..count).map(|number| Ipv4Addr::new(10, 0, what, number).into()).collect()
}

fn sampler() -> (Asking, Sampler<Asking>) {
    let asking = Asking::default();
    (asking.clone(), Sampler::new(asking, Beat::begin()))
}

/// Looks at `proxies` for so many intervals of a second, as a release under way does, and returns what the last look
/// found.
async fn look(sampler: &Sampler<Asking>, proxies: &[IpAddr], times: u32) -> Vec<Latest> {
    let mut latest = sampler.latest(proxies).await;
    for _ in 0..times {
        sampler.want(proxies, SECOND);
        sleep(sampler.beat.until_look(SECOND)).await;
        latest = sampler.latest(proxies).await;
    }
    latest
}

#[tokio::test(start_paused = true)]
async fn the_first_look_waits_for_an_answer_and_the_others_take_the_last_one() {
    let (asking, sampler) = sampler();
    let one = proxies(ANSWERS, 1);
    for (times, expected) in [(0, 0), (3, 3)] {
        let latest = look(&sampler, &one, times).await;
        assert_eq!(latest[0].sample.as_ref().unwrap().uptime_s, expected);
    }
    let (now, began) = (Instant::now(), *asking.times_of(one[0]).last().unwrap());
    assert_eq!(now - began, MARGIN, "the last look found what was said just before");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_fixed_number_is_asked_at_the_same_time() {
    let (asking, sampler) = sampler();
    look(&sampler, &proxies(HANGS, 200), 5).await;
    assert_eq!(asking.0.most_at_once.load(Ordering::Relaxed), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn each_is_asked_once_an_interval_and_not_all_at_once() {
    let (asking, sampler) = sampler();
    let all = proxies(ANSWERS, 200);
    look(&sampler, &all, 3).await;
    let looked = Instant::now();
    let mut leads = Vec::new();
    for proxy in all {
        let times = asking.times_of(proxy);
        let last = times.iter().rev().map(|at| looked - *at).take_while(|ago| *ago < SECOND);
        leads.extend(last);
    }
    leads.sort();
    assert_eq!(leads.len(), 200, "{leads:?}");
    assert!(leads[0] >= MARGIN && leads[199] <= MARGIN + 200 * SPACING, "{leads:?}");
    assert!(leads[199] > leads[0] + 100 * SPACING, "{leads:?}");
}

#[tokio::test(start_paused = true)]
async fn proxies_that_hang_delay_no_other() {
    let (asking, sampler) = sampler();
    let good = proxies(ANSWERS, 100);
    look(&sampler, &good, 1).await;
    let all = [proxies(HANGS, 100), good.clone()].concat();
    let latest = look(&sampler, &all, 20).await;
    let answers = latest.iter().map(|latest| latest.sample.is_ok());
    assert_eq!(answers.collect::<Vec<_>>(), [[false; 100], [true; 100]].concat());
    for proxy in good {
        let longest = asking.times_of(proxy).windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(SECOND + 100 * SPACING), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_silent_and_so_is_one_whose_answer_is_old() {
    for (what, times, expected) in [
        (HANGS, 0, "it has not answered yet"),
        (HANGS, 3, "does not answer in Prometheus' text format"),
        (FREEZES, 10, "it has stopped answering"),
        // What goes on is told in the same words, or it would be news with every look.
        (FREEZES, 20, "it has stopped answering"),
    ] {
        let (_, sampler) = sampler();
        let latest = look(&sampler, &proxies(what, 1), times).await;
        let why = latest[0].sample.as_ref().unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_asked_as_often_as_the_most_eager_wants_it_and_not_when_nobody_does() {
    let (asking, sampler) = sampler();
    let one = proxies(ANSWERS, 1);
    for (intervals, times, expected) in [
        // At rest, and the first answer.
        (vec![10], 3, 3 + 1),
        // Another release is under way.
        (vec![1, 10], 10, 10),
        // Which is not known to be over before the next look.
        (vec![10], 3, 10 + 2),
    ] {
        let before = asking.times_of(one[0]).len();
        for _ in 0..times {
            sampler.latest(&one).await;
            for every in &intervals {
                sampler.want(&one, *every * SECOND);
            }
            sleep(sampler.beat.until_look(intervals[0] * SECOND)).await;
        }
        assert_eq!(asking.times_of(one[0]).len() - before, expected, "{intervals:?}");
    }
    sleep(FORGOTTEN_AFTER * 2).await;
    let asked = asking.times_of(one[0]).len();
    sleep(FORGOTTEN_AFTER * 10).await;
    assert_eq!(asking.times_of(one[0]).len(), asked);
    assert_eq!(look(&sampler, &one, 0).await[0].sample.as_ref().unwrap().uptime_s, asked as u64);
}
