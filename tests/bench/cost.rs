/*!
CPU per request, of the whole Envoy process.

All variants are up at once and take turns, in another order each round. A machine that is slow for a while is slow
for all of them, so a variant's figure is divided by the baseline's of the same round, and the median of these ratios
is what counts.
*/
use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::figures::Figures;
use crate::machine::{self, Bystander};
use crate::proxy::{Ground, Proxy};
use crate::report::Table;
use crate::requests::Requests;
use crate::variants::Variant;

/// Requests to each variant before anything is measured: Envoy's engines compile what is hot.
const WARM_UP: usize = 10_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    pub(crate) seed: u64,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Costs {
    pub(crate) table: Table,
    /// How many rounds were thrown away, because others were busy meanwhile.
    pub(crate) spoilt: usize,
}

/// A variant in its Envoy.
struct Contestant<'v> {
    variant: &'v Variant,
    proxy: Proxy,
    client: Client,
    requests: Requests,
    /// Microseconds of CPU a request, by round.
    costs: Vec<f64>,
}

/// Measures `variants`, the first of which is the baseline.
pub(crate) fn measure(
    runtime: &Runtime,
    ground: &Ground,
    variants: &[Variant],
    effort: Effort,
) -> Result<Costs> {
    let mut contestants = Vec::new();
    for (i, variant) in variants.iter().enumerate() {
        let proxy = runtime.block_on(ground.proxy(&format!("variant-{i}"), &variant.way));
        let proxy = proxy.with_context(|| variant.name.clone())?;
        contestants.push(Contestant::new(variant, proxy, effort.seed)?);
    }
    for contestant in &mut contestants {
        contestant.warm_up()?;
    }
    let mut order: Vec<_> = (0..contestants.len()).collect();
    let mut rng = StdRng::seed_from_u64(effort.seed);
    let envoys: Vec<_> = contestants.iter().map(|contestant| contestant.proxy.pid()).collect();
    let (mut rounds, mut spoilt) = (0, 0);
    while rounds < effort.rounds {
        machine::wait_for_quiet(runtime, &envoys)?;
        let bystander = Bystander::start(&envoys)?;
        order.shuffle(&mut rng);
        for &i in &order {
            contestants[i].take_turn(effort.requests)?;
        }
        if bystander.was_disturbed()? {
            spoilt += 1;
            for contestant in &mut contestants {
                contestant.costs.truncate(rounds);
            }
        } else {
            rounds += 1;
        }
        if (rounds + spoilt) % 10 == 0 {
            eprintln!("{rounds} rounds of {}, {spoilt} more were disturbed", effort.rounds);
        }
    }
    Ok(Costs { table: table(&contestants), spoilt })
}

impl<'v> Contestant<'v> {
    fn new(variant: &'v Variant, proxy: Proxy, seed: u64) -> Result<Self> {
        let client = Client::connect(proxy.address)?;
        Ok(Self { variant, proxy, client, requests: Requests::of(variant.caller, seed), costs: Vec::new() })
    }

    fn warm_up(&mut self) -> Result<()> {
        let variant = self.variant;
        self.client.run(&self.requests.echoed, |request, answer| variant.check_echo(request, answer))?;
        self.send(WARM_UP)
    }

    fn take_turn(&mut self, requests: usize) -> Result<()> {
        let before = self.proxy.cpu_time()?;
        self.send(requests)?;
        let used = self.proxy.cpu_time()?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 requests")]
        self.costs.push(used.as_secs_f64() * 1e6 / requests as f64);
        Ok(())
    }

    fn send(&mut self, requests: usize) -> Result<()> {
        let variant = self.variant;
        let requests = self.requests.usual.iter().cycle().take(requests);
        self.client.run(requests, |request, answer| variant.check(request, answer))
    }
}

fn table(contestants: &[Contestant<'_>]) -> Table {
    let mut table = Table::new(&["variant", "CPU ratio", "quartiles", "µs a request"]);
    let Some(baseline) = contestants.first() else { return table };
    for Contestant { variant, costs, .. } in contestants {
        let ratios = Figures::of(costs.iter().zip(&baseline.costs).map(|(cost, base)| cost / base));
        let (low, high) = (ratios.quantile(0.25), ratios.quantile(0.75));
        table.add([
            variant.name.clone(),
            format!("{:.3}", ratios.median()),
            format!("{low:.3}–{high:.3}"),
            format!("{:.1}", Figures::of(costs.iter().copied()).median()),
        ]);
    }
    table
}
