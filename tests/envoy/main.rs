/*!
Serin against real Envoys: one test binary, so that they share one build and run side by side.
*/
mod agent;
mod assignment;
mod beside;
mod counts;
mod crashes;
mod faults;
mod fuse;
mod http3;
mod leases;
mod links;
mod mirror;
mod protocols;
mod pushes;
mod requests;
mod retries;
mod telemetry;
mod versions;

use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::{Id, Point, Weight};

/// The agent's binary, built beside these tests.
const AGENT: &str = env!("CARGO_BIN_EXE_serin-agent");

/// The seed of everything that is drawn here; `SERIN_SEED` gives another one.
static SEED: LazyLock<u64> = LazyLock::new(|| {
    let seed = std::env::var("SERIN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    eprintln!("SERIN_SEED={seed}");
    seed
});

/// `count` ids of users.
fn users(count: usize) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(*SEED);
    (0..count).map(|_| Id::from_random(rng.random()).to_string()).collect()
}

/// Which deployment a user of release `shop/shop`, run `run`, is on at a weight: the rule by itself.
fn expected(run: &str, id: &str, weight: Weight) -> &'static str {
    let id = Id::try_from(id.as_bytes()).expect("users have valid ids");
    if Point::of(&format!("shop/shop/{run}"), &id).is_covered_by(weight) { "canary" } else { "stable" }
}

/// Percent as a weight.
fn percent(percent: u32) -> Weight {
    Weight::from_ppm(percent * 10_000).expect("at most 100 %")
}
