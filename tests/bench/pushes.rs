/*!
How long a new weight takes until users feel it, what it costs the proxy, and whether anybody suffers.

One Envoy serves steady load while the canary's weight goes to and fro between nobody and everybody; the first answer
that comes from the other version is the effect. What an update costs in CPU is seen afterwards, without load.
*/
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_agent::mesh::ecds::EcdsDir;
use serin_policy::{Arm, Document, PolicySpec, Weight};
use tokio::runtime::Runtime;

use crate::client::{Answer, Client};
use crate::figures::Figures;
use crate::machine::{self, Bystander, wait};
use crate::proxy::{BenchEnvoy, Ground};
use crate::report::Table;
use crate::requests::{Caller, Request, Requests};
use crate::variants::{self, policy, with_counts};

/// How many policies the documents have.
const SIZES: [usize; 3] = [1, 100, 1_000];

/// How many updates are weighed by their CPU time, and how long each may take.
const WEIGHED: usize = 30;
const WINDOW: Duration = Duration::from_millis(250);

/// Few, so that an answer that takes long does not do so because others wait with it.
const CONNECTIONS: usize = 4;

/// After this long, a push is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures `pushes` pushes of each size.
pub(crate) fn measure(runtime: &Runtime, ground: &Ground, pushes: usize, seed: u64) -> Result<Table> {
    let mut table = Table::new(&[
        "policies",
        "document",
        "to effect, median",
        "p99",
        "longest answer: no push",
        "push",
        "CPU of an update",
        "requests",
        "failed",
        "other work",
    ]);
    for size in SIZES {
        let name = format!("pushes-{size}");
        let mut site = Site::start(runtime, ground, &name, size).with_context(|| name.clone())?;
        let envoys = [site.proxy.pid()];
        machine::wait_for_quiet(runtime, &envoys)?;
        let bystander = Bystander::start(&envoys)?;
        let felt = site.push_under_load(runtime, pushes, seed)?;
        let cpu = site.weigh(runtime)?;
        table.add([
            size.to_string(),
            format!("{:.1} kB", site.bytes()? / 1e3),
            milliseconds(felt.effects.median()),
            milliseconds(felt.effects.quantile(0.99)),
            milliseconds(felt.calm.median()),
            milliseconds(felt.disturbed.median()),
            milliseconds(cpu.median()),
            felt.answered.to_string(),
            // The first failure would have ended the run.
            "0".to_owned(),
            format!("{:.0} %", bystander.share()? * 100.0),
        ]);
    }
    Ok(table)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// An Envoy and the folder it takes its policies from.
struct Site {
    proxy: BenchEnvoy,
    ecds: EcdsDir,
    /// With the canary for nobody and for everybody.
    documents: [Document; 2],
    /// Which of the two is in force.
    in_force: Arm,
    requests: Requests,
}

/// What users saw of pushes.
struct Felt {
    /// Seconds from the push to the effect.
    effects: Figures,
    /// The longest that anybody waited for an answer, in seconds, in spells without and with a push.
    calm: Figures,
    disturbed: Figures,
    answered: u64,
}

impl Site {
    fn start(runtime: &Runtime, ground: &Ground, name: &str, size: usize) -> Result<Self> {
        let ecds = EcdsDir::open(&ground.ecds_dir(name))?;
        let documents = [Weight::ZERO, Weight::FULL].map(|weight| document(size, weight));
        ecds.write(&documents[0])?;
        let proxy = runtime.block_on(ground.driven_proxy(name))?;
        // Whoever is new has to be given an id, so these are not; who they are is all the same at 0 and 100 %.
        let requests = Requests::of(Caller::Returning, 0);
        Ok(Self { proxy, ecds, documents, in_force: Arm::Stable, requests })
    }

    fn push_under_load(&mut self, runtime: &Runtime, pushes: usize, seed: u64) -> Result<Felt> {
        let load = Load::start(&self.proxy, std::mem::take(&mut self.requests.usual))?;
        let spells = self.spells(runtime, &load, pushes, seed);
        // Where the load has failed, that is why a push seemed to have no effect.
        let answered = load.stop(&mut self.requests.usual)?;
        let [effects, calm, disturbed] = spells?;
        Ok(Felt { effects, calm, disturbed, answered })
    }

    /// The figures of [`Felt`], in its order.
    fn spells(&mut self, runtime: &Runtime, load: &Load, pushes: usize, seed: u64) -> Result<[Figures; 3]> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut effects, mut calm, mut disturbed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..pushes {
            // Irregular, or pushes might keep step with something in the proxy.
            let spell = Duration::from_millis(rng.random_range(50..100));
            load.longest();
            wait(runtime, spell);
            calm.push(load.longest());
            self.push()?;
            let renamed = Instant::now();
            // What making the file did to the load is no doing of the proxy's.
            load.longest();
            effects.push(load.first_answer_of(self.in_force)?.duration_since(renamed).as_secs_f64());
            wait(runtime, spell.saturating_sub(renamed.elapsed()));
            disturbed.push(load.longest());
        }
        Ok([effects, calm, disturbed].map(Figures::of))
    }

    /// Seconds of CPU that an update takes, above what the proxy does in the same time without one.
    fn weigh(&mut self, runtime: &Runtime) -> Result<Figures> {
        let mut client = Client::connect(self.proxy.address, CONNECTIONS)?;
        let mut costs = Vec::new();
        for _ in 0..WEIGHED {
            let start = self.cpu_seconds()?;
            wait(runtime, WINDOW);
            let between = self.cpu_seconds()?;
            self.push()?;
            wait(runtime, WINDOW);
            let end = self.cpu_seconds()?;
            costs.push((end - between) - (between - start));
            let in_force = self.in_force;
            client.run(self.requests.usual.first(), |_, answer| {
                ensure!(arm_of(answer)? == in_force, "an update took longer than {WINDOW:?}");
                Ok(())
            })?;
        }
        Ok(Figures::of(costs))
    }

    fn cpu_seconds(&self) -> Result<f64> {
        Ok(self.proxy.cpu_time()?.as_secs_f64())
    }

    /// Puts the other document in force.
    fn push(&mut self) -> Result<()> {
        let [nobody, everybody] = &self.documents;
        let (arm, document) = match self.in_force {
            Arm::Stable => (Arm::Canary, everybody),
            Arm::Canary | Arm::Extra(_) => (Arm::Stable, nobody),
        };
        self.in_force = arm;
        Ok(self.ecds.write(document)?)
    }

    fn bytes(&self) -> Result<f64> {
        let [document, _] = &self.documents;
        #[expect(clippy::cast_precision_loss, reason = "a document is small")]
        Ok(serde_json::to_vec(document)?.len() as f64)
    }
}

/// Releases of `size` services, the last of which is the one that is asked for.
fn document(size: usize, weight: Weight) -> Document {
    let of = |number: usize| {
        let mut policy = with_counts(policy());
        if let Some(canary) = policy.versions.last_mut() {
            canary.weight = Some(weight);
        }
        if number == size {
            return policy;
        }
        let name = format!("shop/service-{number}");
        PolicySpec {
            hosts: vec![format!("service-{number}.shop.svc.cluster.local")],
            salt: format!("{name}/1"),
            name,
            ..policy
        }
    };
    Document::new((1..=size).map(of).collect())
}

/// Requests one after the other until it is told to stop.
struct Load {
    shared: Arc<Shared>,
    changes: mpsc::Receiver<(Arm, Instant)>,
    thread: JoinHandle<(Vec<Request>, Result<u64>)>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    longest_ns: AtomicU64,
}

impl Load {
    fn start(proxy: &BenchEnvoy, requests: Vec<Request>) -> Result<Self> {
        let mut client = Client::connect(proxy.address, CONNECTIONS)?;
        let shared = Arc::new(Shared::default());
        let (tell, changes) = mpsc::channel();
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new().name("load".to_owned()).spawn(move || {
            let answered = send(&mut client, &requests, &seen, &tell);
            (requests, answered)
        })?;
        Ok(Self { shared, changes, thread })
    }

    /// The longest that an answer has taken since this was last asked, in seconds.
    fn longest(&self) -> f64 {
        Duration::from_nanos(self.shared.longest_ns.swap(0, Ordering::Relaxed)).as_secs_f64()
    }

    /// When `arm` began to answer.
    fn first_answer_of(&self, arm: Arm) -> Result<Instant> {
        loop {
            let (changed_to, at) = self.changes.recv_timeout(PATIENCE).context("a push had no effect")?;
            if changed_to == arm {
                return Ok(at);
            }
        }
    }

    /// Stops, gives the requests back and says how many were answered. The first failure is the error.
    fn stop(self, requests: &mut Vec<Request>) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let Ok((given, answered)) = self.thread.join() else { bail!("the load broke down") };
        *requests = given;
        answered
    }
}

fn send(
    client: &mut Client,
    requests: &[Request],
    shared: &Shared,
    tell: &mpsc::Sender<(Arm, Instant)>,
) -> Result<u64> {
    let (mut answered, mut last) = (0, None);
    let until_stopped = requests.iter().cycle().take_while(|_| !shared.stop.load(Ordering::Relaxed));
    client.run(until_stopped, |_, answer| {
        let arm = arm_of(answer)?;
        if last.replace(arm).is_some_and(|last| last != arm) {
            tell.send((arm, Instant::now()))?;
        }
        let took = u64::try_from(answer.took.as_nanos())?;
        shared.longest_ns.fetch_max(took, Ordering::Relaxed);
        answered += 1;
        Ok(())
    })?;
    Ok(answered)
}

fn arm_of(answer: &Answer<'_>) -> Result<Arm> {
    ensure!(answer.is_ok(), "a request failed: {}", answer.text());
    variants::reached(answer).with_context(|| answer.text())
}
