/*!
Serin against a real Prometheus, which scrapes real Envoys or what looks like Istio.
*/
mod access;
mod answers;
mod filter;
mod istio;
mod many;
mod releases;
mod replicas;

use anyhow::Result;
use jiff::Timestamp;
use serin_agent::observe::prometheus::Client;
use serin_policy::{Id, Weight};
use serin_release::prometheus::{Access, Settings};

/// The agent's binary.
const AGENT: &str = env!("CARGO_BIN_EXE_serin-agent");

/// Settings for the Prometheus at `address`, and nothing else.
fn settings(address: &str) -> Settings {
    Settings { address: address.to_owned(), ..Settings::default() }
}

/// A client of the Prometheus at `address`, as anybody.
fn client(address: &str) -> Result<Client> {
    Ok(Client::new(Access::try_from(settings(address))?)?)
}

/// What became of `query`: the answer in short, or the error.
async fn said(client: &Client, query: &str) -> String {
    match client.query(query, Timestamp::now()).await {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

/// Fails unless `text` has all of `parts`.
#[track_caller]
fn check(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// `count` ids of users.
fn users(count: u128) -> Vec<String> {
    (1..=count).map(|number| Id::from_random(number).to_string()).collect()
}

/// Percent as a weight.
fn percent(percent: u32) -> Weight {
    Weight::from_ppm(percent * 10_000).expect("at most 100 %")
}
