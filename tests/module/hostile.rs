/*!
A million requests that nobody sane would send, with documents good and bad pushed in between.

Every answer is checked against the same policies decided natively: a request whose host a policy answers for
carries the routing header exactly once, with the version that policy gives it, and everything that is not the
filter's business stays as it was, to the byte.
*/
mod documents;
mod expectation;
mod requests;

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::series::REFUSED;
use serin_policy::{Proxy, Table};
use serin_tests::module_host::{Fuel, ModuleHost};

use documents::Documents;
use expectation::Expectation;
use requests::Junk;

/// All requests, over both threads.
const MANY: u32 = 1_000_000;

/// As many requests wait for an answer at once, through however many new documents.
const IN_FLIGHT: usize = 50;

/// One proxy and what is known about it from outside.
struct World {
    host: ModuleHost,
    random: StdRng,
    junk: Junk,
    documents: Documents,
    /// The policies that should be in force.
    table: Table,
    waiting: VecDeque<(u32, Expectation)>,
    /// Requests that should have been counted.
    counted: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut host = super::host();
        host.set_namespace(documents::NAMESPACE);
        let junk = Junk::new(&mut random);
        let (documents, table) = (Documents::new(), Table::default());
        Self { host, random, junk, documents, table, waiting: VecDeque::new(), counted: 0 }
    }

    fn run(&mut self, requests: u32) {
        for _ in 0..requests {
            if self.random.random_ratio(1, 2_000) {
                self.configure();
            }
            self.begin();
            while self.waiting.len() > IN_FLIGHT {
                let any = self.random.random_range(0..self.waiting.len());
                let (id, expectation) = self.waiting.swap_remove_back(any).unwrap();
                self.finish(id, expectation);
            }
        }
    }

    /// Pushes the next document, whatever it is.
    fn configure(&mut self) {
        let json = self.documents.any(&mut self.random, &self.junk);
        self.host.configure(&json).unwrap();
        let (table, refusals) = Table::read(&json, &Proxy::of("", Some(documents::NAMESPACE)), &self.table);
        self.table = table;
        assert_eq!(self.host.metrics().get(REFUSED), refusals.len() as u64);
        assert_eq!(self.host.take_log().len(), refusals.len());
    }

    /// Lets a request in, as far as it gets.
    fn begin(&mut self) {
        let headers = requests::request(&mut self.random, &self.junk);
        let mut expectation = Expectation::new(&self.table, headers.clone(), self.host.now_ns());

        let id = self.host.open(headers).unwrap();
        // Some requests never get to the filter: an earlier one answered them, or the client left.
        if self.random.random_ratio(19, 20) {
            self.host.request_headers(id).unwrap();
        } else {
            expectation.never_asked();
        }
        self.waiting.push_back((id, expectation));
    }

    /// Ends a request in one of the ways in which requests end.
    fn finish(&mut self, id: u32, mut expectation: Expectation) {
        self.host.advance(requests::pause(&mut self.random));
        let answer = self.host.answer(id).unwrap();
        assert_eq!(answer.as_ref().map(|answer| &answer.headers), expectation.followed());
        if self.random.random_ratio(1, 50) {
            self.host.tick().unwrap();
        }
        if answer.is_some() || self.random.random_ratio(9, 10) {
            let response = answer.unwrap_or_else(|| requests::response(&mut self.random, &self.junk));
            expectation.answered(&response);
            self.host.response_headers(id, response).unwrap();
        }
        // Over HTTP/3 there is no log for the module.
        if self.random.random_ratio(9, 10) {
            self.host.log(id).unwrap();
        }
        self.counted += u64::from(expectation.is_counted());
        let (routed, response) = self.host.close(id, &mut Fuel::default()).unwrap();
        expectation.check(&routed, response.as_ref());
    }

    fn end(&mut self) {
        while let Some((id, expectation)) = self.waiting.pop_front() {
            self.finish(id, expectation);
        }
        assert_eq!(self.host.in_flight(), 0);
        let metrics = self.host.metrics();
        let is_class = |name: &str| name.contains(";.serin_rq_") && name.ends_with("xx");
        let ends = metrics.names().filter(|name| is_class(name) || name.ends_with(";.serin_left"));
        let ends: u64 = ends.map(|name| metrics.get(name)).sum();
        assert_eq!(ends, self.counted, "every request is counted once");
        let total = |end: &str| -> u64 {
            metrics.names().filter(|name| name.ends_with(end)).map(|name| metrics.get(name)).sum()
        };
        let [waiting, waited, slow] = [";.serin_waiting", ";.serin_waited", ";.serin_slow"].map(total);
        assert!(0 < waited && waited <= waiting && waiting <= slow, "{waited} of {waiting} of {slow}");
        assert_eq!(metrics.definitions(), metrics.names().count(), "every metric is defined once");
    }
}

#[test]
fn no_request_and_no_document_brings_the_module_down() {
    let seed = std::env::var("SERIN_SEED").map_or(20_261_121, |seed| seed.parse().expect("a number"));
    println!("SERIN_SEED={seed}");
    let half = |thread: u64| {
        let mut world = World::new(seed + thread);
        world.configure();
        world.run(MANY / 20);
        let early = world.host.memory_bytes();
        world.run(MANY / 2 - MANY / 20);
        world.end();
        let late = world.host.memory_bytes();
        // A byte kept of each request would be too much by far.
        assert!(late <= early + 1_000_000, "memory grew from {early} to {late} bytes");
    };
    std::thread::scope(|threads| {
        threads.spawn(|| half(0));
        threads.spawn(|| half(1));
    });
}
