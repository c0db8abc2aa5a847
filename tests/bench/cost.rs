/*!
CPU per request, of the whole Envoy process.

All variants are up at once and take short turns, in another order each round, each between two turns of the baseline.
A machine that is slow for a while is slow for neighbours, so a turn is divided by the mean of the baseline's turns
before and after it, and the median of these ratios is what counts. A process can be lucky or unlucky with where its
memory lies, for as long as it lives, so all Envoys are replaced several times.
*/
use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::figures::Figures;
use crate::machine::{self, Bystander};
use crate::proxy::{BenchEnvoy, Ground};
use crate::report::Table;
use crate::requests::Requests;
use crate::variants::Variant;

/// Requests to each variant before anything is measured: Envoy's engines compile what is hot.
const WARM_UP: usize = 10_000;

/// So many that an Envoy always has something to do: going to sleep and waking up would be costs of their own.
const CONNECTIONS: usize = 32;

/// How many Envoys each variant has, one after another.
const SETS: usize = 4;

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

/// A turn: microseconds of CPU a request, and the baseline's beside it.
#[derive(Debug, Clone, Copy)]
struct Turn {
    cost: f64,
    baseline: f64,
}

/// Measures `variants`, the first of which is the baseline.
pub(crate) fn measure(
    runtime: &Runtime,
    ground: &Ground,
    variants: &[Variant],
    effort: Effort,
) -> Result<Costs> {
    let mut rng = StdRng::seed_from_u64(effort.seed);
    let mut turns = vec![Vec::new(); variants.len()];
    let mut spoilt = 0;
    for set in 0..SETS {
        let mut set = Set::start(runtime, ground, variants, effort, set)?;
        let envoys: Vec<_> = set.contestants.iter().map(|contestant| contestant.proxy.pid()).collect();
        let mut rounds = 0;
        while rounds < effort.rounds.div_ceil(SETS) {
            machine::wait_for_quiet(runtime, &envoys)?;
            let bystander = Bystander::start(&envoys)?;
            let round = set.round(&mut rng)?;
            if bystander.was_disturbed()? {
                spoilt += 1;
                continue;
            }
            rounds += 1;
            for (turns, turn) in turns.iter_mut().zip(round) {
                turns.push(turn);
            }
        }
    }
    Ok(Costs { table: table(variants, &turns), spoilt })
}

/// An Envoy for each variant.
struct Set<'v> {
    contestants: Vec<Contestant<'v>>,
    requests: usize,
}

/// A variant in its Envoy.
struct Contestant<'v> {
    variant: &'v Variant,
    proxy: BenchEnvoy,
    client: Client,
    requests: Requests,
}

impl<'v> Set<'v> {
    fn start(
        runtime: &Runtime,
        ground: &Ground,
        variants: &'v [Variant],
        effort: Effort,
        set: usize,
    ) -> Result<Self> {
        let mut contestants = Vec::new();
        for (i, variant) in variants.iter().enumerate() {
            let proxy = runtime.block_on(ground.proxy(&format!("set-{set}-variant-{i}"), &variant.way));
            let proxy = proxy.with_context(|| variant.name.clone())?;
            contestants.push(Contestant::new(variant, proxy, effort.seed)?);
        }
        for contestant in &mut contestants {
            contestant.warm_up()?;
        }
        Ok(Self { contestants, requests: effort.requests })
    }

    /// A turn of each variant, in the variants' order.
    fn round(&mut self, rng: &mut StdRng) -> Result<Vec<Turn>> {
        let mut order: Vec<_> = (0..self.contestants.len()).collect();
        order.shuffle(rng);
        let mut round = vec![Turn { cost: 1.0, baseline: 1.0 }; order.len()];
        let mut before = self.turn(0)?;
        for i in order {
            let cost = self.turn(i)?;
            let after = self.turn(0)?;
            round[i] = Turn { cost, baseline: f64::midpoint(before, after) };
            before = after;
        }
        Ok(round)
    }

    /// Microseconds of CPU that a request costs variant `i` now.
    fn turn(&mut self, i: usize) -> Result<f64> {
        let contestant = &mut self.contestants[i];
        let before = contestant.proxy.cpu_time()?;
        contestant.send(self.requests)?;
        let used = contestant.proxy.cpu_time()?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 requests")]
        Ok(used.as_secs_f64() * 1e6 / self.requests as f64)
    }
}

impl<'v> Contestant<'v> {
    fn new(variant: &'v Variant, proxy: BenchEnvoy, seed: u64) -> Result<Self> {
        let client = Client::connect(proxy.address, CONNECTIONS)?;
        Ok(Self { variant, proxy, client, requests: Requests::of(variant.caller, seed) })
    }

    fn warm_up(&mut self) -> Result<()> {
        let variant = self.variant;
        self.client.run(&self.requests.echoed, |request, answer| variant.check_echo(request, answer))?;
        self.send(WARM_UP)
    }

    fn send(&mut self, requests: usize) -> Result<()> {
        let variant = self.variant;
        let requests = self.requests.usual.iter().cycle().take(requests);
        self.client.run(requests, |request, answer| variant.check(request, answer))
    }
}

fn table(variants: &[Variant], turns: &[Vec<Turn>]) -> Table {
    let mut table = Table::new(&["variant", "CPU ratio", "quartiles", "µs a request"]);
    for (variant, turns) in variants.iter().zip(turns) {
        let ratios = Figures::of(turns.iter().map(|turn| turn.cost / turn.baseline));
        let (low, high) = (ratios.quantile(0.25), ratios.quantile(0.75));
        table.add([
            variant.name.clone(),
            format!("{:.3}", ratios.median()),
            format!("{low:.3}–{high:.3}"),
            format!("{:.1}", Figures::of(turns.iter().map(|turn| turn.cost)).median()),
        ]);
    }
    table
}
