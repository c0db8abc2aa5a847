/*!
`serin analyze`: is the canary good? One look, or one after another, at a release that an agent drives, in a cluster or not, or
at proxies that somebody else does.
*/
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serin_policy::{Arm, Weight};
use tokio::time::{Instant, interval, sleep_until};

use super::cluster::{self, Access};
use super::read_release;
use super::report::Report;
use serin_agent::errors::chain;
use serin_agent::observe::ProxyReport;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::fleet::Fleet;
use serin_agent::serve::control::Client;
use serin_agent::standalone::View;
use serin_release::{CountSource, Release, duration};
use serin_rollout::{Cell, Counts, Evidence, Hold, Moment, Proxy, Reason, Verdict};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 the canary passes, 1 it fails, 2 not enough data yet, 3 no data could be read, 64 wrong usage."
)]
pub(super) struct Args {
    /// The Release, in a cluster: show how its agent judges the canary.
    #[arg(value_name = "NAME", conflicts_with_all = ["state", "release"])]
    name: Option<String>,
    /// The folder of a running agent (--state of `serin run`): show how it judges the canary.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["release", "envoy_admin", "kubeconfig", "context", "namespace"])]
    state: Option<PathBuf>,
    /// The Release to judge by, a YAML file, if no agent drives it.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["state", "name"],
        conflicts_with_all = ["kubeconfig", "context", "namespace"]
    )]
    release: Option<PathBuf>,
    /// Admin address of an Envoy, such as `http://127.0.0.1:9901`; may be repeated. Not needed if the Release takes its
    /// counts from a Prometheus.
    #[arg(long = "envoy-admin", value_name = "URL", requires = "release")]
    envoy_admin: Vec<String>,
    /// How long to watch before the verdict.
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    look: Duration,
    /// Keep watching and print each look, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Print JSON, one object a look.
    #[arg(long)]
    json: bool,
    /// The namespace of the agent, for a Release in a cluster.
    #[arg(long, value_name = "NAMESPACE", default_value = "serin-system", help_heading = "Cluster")]
    agent_namespace: String,
    #[command(flatten)]
    access: Access,
}

/// A script must be able to tell a bad canary from a look that failed.
const COULD_NOT_LOOK: u8 = 3;

pub(super) async fn analyze(args: Args) -> ExitCode {
    let verdict = match (&args.name, &args.state) {
        (Some(name), _) => {
            cluster::verdict(name, &args.agent_namespace, (args.watch, args.json), &args.access).await
        }
        (None, Some(state)) => of_agent(state, &args).await.map(|verdict| judged(&verdict)),
        (None, None) => of_proxies(&args).await.map(|verdict| judged(&verdict)),
    };
    match verdict {
        Ok(Judged::Healthy) => ExitCode::SUCCESS,
        Ok(Judged::Unhealthy) => ExitCode::from(1),
        Ok(Judged::NotYet) => ExitCode::from(2),
        Err(error) => {
            eprintln!("serin: {}", chain(error.as_ref()));
            ExitCode::from(COULD_NOT_LOOK)
        }
    }
}

/// What a script is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Healthy,
    Unhealthy,
    NotYet,
}

const fn judged(verdict: &Verdict) -> Judged {
    match verdict {
        Verdict::Pass => Judged::Healthy,
        Verdict::Fail(_) => Judged::Unhealthy,
        Verdict::NotYet(_) => Judged::NotYet,
    }
}

async fn of_agent(state: &std::path::Path, args: &Args) -> anyhow::Result<Verdict> {
    let client = Client::new(state)?;
    loop {
        let view = client.view().await?;
        let report = Report::from(&view);
        print(&report, args.json)?;
        if !args.watch {
            still_looks(&view)?;
            return Ok(report.verdict);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// An old verdict is none: the agent must be looking, and must see something.
fn still_looks(view: &View) -> anyhow::Result<()> {
    /// A look takes a few seconds at most, and the longest time between two is 5 min.
    const LONGEST: SignedDuration = SignedDuration::from_mins(6);
    if let Some(trouble) = &view.trouble {
        anyhow::bail!("the agent is in trouble: {trouble}");
    }
    let looked = view.looked_at.context("the agent has not looked yet")?;
    anyhow::ensure!(
        Timestamp::now().duration_since(looked) < LONGEST,
        "the agent last looked at {looked:.0}"
    );
    let blind = view.standing.iter().find(|reason| matches!(reason, Reason::Hold(Hold::AwaitsData { .. })));
    anyhow::ensure!(blind.is_none(), "{}", blind.map(ToString::to_string).unwrap_or_default());
    if let Some(error) = view.proxies.iter().find_map(Proxy::silence) {
        anyhow::bail!("a proxy is silent: {error}");
    }
    Ok(())
}

/// Judges what the proxies count from now on.
async fn of_proxies(args: &Args) -> anyhow::Result<Verdict> {
    let path = args.release.as_deref().context("--release: missing: give the Release to judge by")?;
    let release = read_release(path)?;
    anyhow::ensure!(
        !args.envoy_admin.is_empty() || release.analysis.source != CountSource::Proxies,
        "--envoy-admin: missing: give the proxies' admin addresses, or let spec.analysis.source be Prometheus or Istio"
    );
    let mut looker = Looker::new(release, &args.envoy_admin)?;
    let end = Instant::now() + args.look;
    let mut ticks = interval(looker.release.analysis.interval);
    loop {
        tokio::select! {
            _ = ticks.tick() => looker.look().await?,
            () = sleep_until(end), if !args.watch => break,
        }
        if args.watch {
            match &looker.outage {
                Some(why) => eprintln!("serin: {why}"),
                None => print(&looker.report(), args.json)?,
            }
        }
    }
    looker.look().await?;
    if let Some(why) = &looker.outage {
        anyhow::bail!("{why}");
    }
    let report = looker.report();
    print(&report, args.json)?;
    Ok(report.verdict)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{}\n\n{}\n", report.tables(), report.because);
    }
    Ok(())
}

/// Looks at proxies that nobody here drives.
struct Looker {
    release: Release,
    fleet: Fleet,
    deltas: CounterDeltas,
    evidence: Evidence,
    counted: Counts,
    /// Why nothing could be counted at the last look, if nothing could: a Prometheus may need a moment.
    outage: Option<String>,
    /// Whether anybody was seen on the canary, or on stable.
    is_exposed: bool,
    has_stable: bool,
}

impl Looker {
    fn new(release: Release, addresses: &[String]) -> anyhow::Result<Self> {
        Ok(Self {
            fleet: Fleet::new(addresses)?,
            release,
            deltas: CounterDeltas::default(),
            evidence: Evidence::default(),
            counted: Counts::default(),
            outage: None,
            is_exposed: false,
            has_stable: false,
        })
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let ProxyReport { proxies, counted, chosen, users, readings, outage, .. } =
            self.fleet.look(&self.release, &mut self.deltas, None, now).await;
        // Nothing is kept here but what is in hand.
        self.fleet.saved();
        if let Some(error) = proxies.iter().find_map(Proxy::silence) {
            anyhow::bail!("--envoy-admin: {error}");
        }
        self.outage = outage;
        self.evidence.take_in_readings(&readings, &self.release);
        self.counted.add(&Counts::of(&counted));
        let (step_index, settled) = self.place(&counted);
        self.evidence.take_in(&counted, users, Moment { step_index, settled, now }, &self.release);
        self.evidence.take_in_chosen(&chosen, &counted, now, &self.release);
        Ok(())
    }

    /// Where the release stands. Which step it is at, low traffic does not tell: once anybody is on the canary there is
    /// no baseline any more, and nothing is said of how new callers were drawn.
    fn place(&mut self, cells: &[Cell]) -> (usize, Option<Weight>) {
        let has = |arm| cells.iter().any(|cell| cell.is_of(arm));
        if !self.is_exposed && has(Arm::Canary) {
            self.is_exposed = true;
            self.evidence = Evidence::default();
        }
        self.has_stable |= has(Arm::Stable);
        if self.is_exposed { (self.release.steps.len() + 1, Some(self.weight())) } else { (0, None) }
    }

    /// All that can be told of the canary's share: whether anybody else is left.
    const fn weight(&self) -> Weight {
        if self.has_stable { Weight::ZERO } else { Weight::FULL }
    }

    fn report(&self) -> Report {
        let (release, now) = (&self.release, Timestamp::now());
        let verdict = self.evidence.verdict(&release.analysis, now);
        let latency = |arm| self.fleet.latency().percentiles(arm);
        Report {
            release: release.name().to_owned(),
            because: verdict.to_string(),
            verdict,
            counted: self.counted,
            stable_latency: latency(Arm::Stable),
            canary_latency: latency(Arm::Canary),
            findings: self.evidence.findings(release, self.weight()),
            users: self.evidence.users(&release.analysis),
            segments: self.evidence.segments(&release.analysis),
            unjudged: self.evidence.unjudged(release, now),
            injected: self.evidence.injected(),
            forecasts: self.evidence.forecasts(release),
            readings: self.evidence.readings(&release.analysis),
            cohorts: self.evidence.cohorts(&release.analysis),
            assignable: self.evidence.assignable(),
            draw: self.evidence.draw(),
            versions: Vec::new(),
        }
    }
}
