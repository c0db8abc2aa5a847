/*!
`serin status`, and the commands to a running agent: to that of a cluster by the name of a Release, to one without
Kubernetes by its folder.
*/
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};
use tokio::time::{Instant, sleep};

use super::WrongUsage;
use super::cluster::{self, Access};
use super::report::{Report, table};
use serin_agent::serve::control::Client;
use serin_agent::standalone::View;
use serin_agent::view::words::proxy_state;
use serin_release::duration;
use serin_rollout::CommandKind;

/// Which release is meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// The Release, in a cluster.
    #[arg(value_name = "NAME", conflicts_with = "state")]
    name: Option<String>,
    /// Instead of NAME, the folder of an agent without Kubernetes: --state of `serin run`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context", "namespace"])]
    state: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// A release that there may be.
enum Place<'a> {
    /// A Release in a cluster.
    Cluster(&'a str, &'a Access),
    /// That of an agent without Kubernetes.
    Folder(&'a Path),
}

impl Which {
    fn place(&self) -> anyhow::Result<Place<'_>> {
        match (&self.name, &self.state) {
            (Some(name), _) => Ok(Place::Cluster(name, &self.access)),
            (None, Some(state)) => Ok(Place::Folder(state)),
            (None, None) => Err(WrongUsage(
                "NAME: missing: write the name of a Release in the cluster, or --state DIR for an agent without Kubernetes",
            )
            .into()),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Your name, for the audit log, the status and the events [default: the one the cluster knows you by, or $USER].
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why, for the audit log, the status and the events.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait until the proxies report it.
    #[arg(long, conflicts_with = "state")]
    no_wait: bool,
    /// How long the agent, and then the proxies, may take.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration::parse, conflicts_with = "state")]
    timeout: Duration,
}

/// Of a command that moves everybody.
#[derive(Debug, clap::Args)]
pub(super) struct AskedArgs {
    #[command(flatten)]
    pub(super) args: Args,
    /// Do not ask, as in a script.
    #[arg(long, short)]
    pub(super) yes: bool,
}

/// Of the command that everybody gets the canary by.
#[derive(Debug, clap::Args)]
pub(super) struct PromoteArgs {
    #[command(flatten)]
    pub(super) asked: AskedArgs,
    /// Change nothing, and print what stable's Deployment becomes, as a JSON patch in YAML: for Git, with
    /// `promotion.mode: Wait`.
    #[arg(long, conflicts_with_all = ["yes", "by", "reason", "no_wait", "timeout", "state"])]
    print_patch: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    in_cluster: cluster::StatusArgs,
    /// With --state: print everything, as JSON.
    #[arg(long, requires = "state")]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let state = match args.which.place()? {
        Place::Cluster(name, access) => return cluster::status(name, &args.in_cluster, access).await,
        Place::Folder(state) => state,
    };
    let view = Client::new(state)?.view().await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        print!("{}", render(&view));
    }
    Ok(())
}

/// Gives a command and prints what the agent makes of it. With `yes` nobody is asked.
pub(super) async fn command(args: &Args, kind: CommandKind, yes: bool) -> anyhow::Result<ExitCode> {
    match args.which.place()? {
        Place::Folder(state) => in_folder(state, kind, args.by.as_deref(), args.reason.as_deref()).await,
        Place::Cluster(name, access) => {
            let given = cluster::Given {
                order: cluster::Order { kind, name, by: args.by.as_deref(), reason: args.reason.as_deref() },
                yes,
                wait: !args.no_wait,
                timeout: args.timeout,
                access,
            };
            cluster::give(&given).await
        }
    }
}

/// Promotes, or prints what whoever owns stable's Deployment has to write for it.
pub(super) async fn promote(args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let PromoteArgs { asked: AskedArgs { args, yes }, print_patch } = args;
    match args.which.place()? {
        Place::Cluster(name, access) if *print_patch => cluster::print_patch(name, access).await,
        _ => command(args, CommandKind::Promote, *yes).await,
    }
}

async fn in_folder(
    state: &Path,
    kind: CommandKind,
    by: Option<&str>,
    reason: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let client = Client::new(state)?;
    let before = client.view().await?;
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let why = reason.map(|why| format!(", because: {why}")).unwrap_or_default();
    client.command(kind, &format!("{}{why}", by.unwrap_or(&user))).await?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let view = client.view().await?;
        if view.looked_at > before.looked_at || Instant::now() > deadline {
            for entry in view.journal.iter().filter(|entry| Some(entry.at) > before.looked_at) {
                println!("{}", entry.news);
            }
            return Ok(ExitCode::SUCCESS);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn render(view: &View) -> String {
    let status = &view.status;
    let steps: Vec<_> = view.steps.iter().map(ToString::to_string).collect();
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    facts.add_row(["release", &view.release]);
    facts.add_row(["run", &status.run]);
    facts.add_row(["phase", &status.phase.to_string()]);
    facts.add_row(["weight", &format!("{} (steps {})", status.weight(), steps.join(" → "))]);
    facts.add_row(["revision", &status.revision.to_string()]);
    for reason in &view.standing {
        facts.add_row(["now", &reason.to_string()]);
    }
    if let Some(trouble) = &view.trouble {
        facts.add_row(["trouble", trouble]);
    }
    let report = Report::from(view);
    let mut proxies = table(&["proxy", "state"]);
    for proxy in &view.proxies {
        proxies.add_row([proxy.name.clone(), proxy_state(&proxy.state)]);
    }
    let journal: Vec<_> =
        view.journal.iter().map(|entry| format!("{:.0}  {}", entry.at, entry.news)).collect();
    facts.add_row(["verdict", &report.because]);
    let tables = report.tables();
    format!("{facts}\n\n{tables}\n\n{proxies}\n\nWhat happened\n{}\n", journal.join("\n"))
}
