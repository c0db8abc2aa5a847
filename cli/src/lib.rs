/*!
The command line: what was typed becomes resolved configuration, and nothing further in knows of it.
*/
mod analyze;
mod bootstrap;
mod cluster;
mod control;
mod controller;
mod convert;
#[cfg(test)]
mod documentation;
mod draft;
mod explain;
mod link;
mod module;
mod report;
mod routes;
mod run;
mod simulate;
mod uninstall;

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use tracing_subscriber::EnvFilter;

use crate::convert::explained;
use serin_agent::cluster::crd;
use serin_agent::errors::chain;
use serin_demo as demo;
use serin_release::Release;
use serin_rollout::CommandKind;

/// Releases new versions of a service, step by step. Every user stays on one version, the share of users that gets the new
/// one is exactly what you asked for, and a bad version is taken back before most users have met it.
#[derive(Debug, Parser)]
#[command(name = "serin", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Format of log lines. `RUST_LOG` sets their level, such as `debug` or `warn`.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "SERIN_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Plain lines, for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a good and a bad release on this machine, with a real Envoy.
    Demo(demo::Options),
    /// Run a release on plain Envoys, without Kubernetes.
    Run(run::Args),
    /// Run the Releases of a Kubernetes cluster with Istio.
    Controller(controller::Args),
    /// Take Serin out of a Kubernetes cluster, with everybody on stable.
    Uninstall(uninstall::Args),
    /// Write an Envoy bootstrap for a release.
    Bootstrap(bootstrap::Args),
    /// Simulate how soon a bad canary is caught and how often a good one is taken back, under several rules.
    Simulate(simulate::Args),
    /// Explain which version a request gets, and why.
    Explain(explain::Args),
    /// Make an address that gives a tester's plain browser a version for a time.
    Link(link::Args),
    /// Judge the canary now: what each version served, the evidence, the verdict.
    Analyze(analyze::Args),
    /// Print the CustomResourceDefinitions of Release and MetricTemplate, for `kubectl apply --server-side -f -`.
    Crd,
    /// The filter's module, for a registry.
    #[command(subcommand)]
    Module(module::Command),
    /// List the Releases of a cluster.
    Get(cluster::GetArgs),
    /// Show how a release stands: how far it is, what speaks against it, what it waits for, what to do.
    Status(control::StatusArgs),
    /// Show all Releases live, with what each version gets and how much of it fails.
    Top(cluster::TopArgs),
    /// Show Releases as pages in a browser of this machine, with buttons for what you may do.
    Dashboard(cluster::DashboardArgs),
    /// List the last runs of a Release.
    History(cluster::HistoryArgs),
    /// Report what came of a run, as Markdown, as a page or as JSON.
    Report(cluster::ReportArgs),
    /// Print what was told of a Release, and what is told from now on.
    Events(cluster::EventsArgs),
    /// Hold a running release at its step. A failing analysis still takes it back.
    Pause(control::Args),
    /// Go on after a pause, or approve a step that waits for approval.
    #[command(visible_alias = "approve")]
    Resume(control::Args),
    /// Skip the remaining steps: everybody gets the canary.
    Promote(control::PromoteArgs),
    /// Take the release back: everybody gets stable.
    Abort(control::AskedArgs),
    /// Start a release again after it was taken back.
    Retry(control::Args),
    /// Release an earlier version of stable's again, after a promotion that should not have been.
    Undo(cluster::UndoArgs),
    /// Have the present run of a release go on although a window freezes it, in an emergency.
    #[command(mut_arg("reason", |reason| reason.required(true)))]
    OverrideFreeze(control::Args),
    /// Wait until the release of an image has come to something, for pipelines.
    Wait(cluster::WaitArgs),
    /// Say what a cluster lacks, and what keeps a Release from going through.
    Doctor(cluster::DoctorArgs),
    /// Print a Release for a service that is in a cluster already. It writes nothing.
    Adopt(cluster::AdoptArgs),
    /// Print Flagger's, Argo's or Istio's objects as Releases. It needs no cluster.
    Convert(convert::Args),
    /// Check the Releases of files, without a cluster.
    Lint(cluster::LintArgs),
    /// Print what a shell completes the command line by.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page of this command, or of one within it such as `wait`.
    Man {
        /// The command.
        command: Option<String>,
    },
}

/// Parses the command line and does what it says.
pub fn parse_and_run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nobody is left to be told that this could not be printed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { WRONG_USAGE } else { 0 });
        }
    };
    // The demo tells its own story.
    let level = if matches!(args.command, Command::Demo(_)) { "warn" } else { "info,kube_runtime=warn" };
    install_log(args.log_format, level);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("serin: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(args.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("serin: {}", chain(error.as_ref()));
            if error.is::<WrongUsage>() { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// Arguments that each make sense, and not together.
#[derive(Debug)]
struct WrongUsage(&'static str);

impl std::error::Error for WrongUsage {}

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// `EX_USAGE` of BSD's sysexits: to `serin analyze`, clap's own 2 means something else.
const WRONG_USAGE: u8 = 64;

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(options) => return Box::pin(demo::run(options)).await,
        Command::Analyze(args) => return Ok(analyze::analyze(args).await),
        Command::Run(args) => run::run(args).await?,
        Command::Controller(args) => Box::pin(controller::run(args)).await?,
        Command::Uninstall(args) => Box::pin(uninstall::run(&args)).await?,
        Command::Bootstrap(args) => bootstrap::write(&args)?,
        Command::Explain(args) => explain::explain(&args).await?,
        Command::Link(args) => link::link(&args).await?,
        Command::Simulate(args) => simulate::simulate(&args)?,
        Command::Crd => print!("{}", crd::yaml()?),
        Command::Module(command) => return module::run(&command).await,
        Command::Get(args) => cluster::get(&args).await?,
        Command::Top(args) => cluster::top(&args).await?,
        Command::Dashboard(args) => Box::pin(cluster::dashboard(&args)).await?,
        Command::History(args) => cluster::history(&args).await?,
        Command::Report(args) => cluster::report(&args).await?,
        Command::Events(args) => cluster::events(&args).await?,
        Command::Status(args) => control::status(&args).await?,
        Command::Pause(args) => return control::command(&args, CommandKind::Pause, true).await,
        Command::Resume(args) => return control::command(&args, CommandKind::Resume, true).await,
        Command::Promote(args) => return control::promote(&args).await,
        Command::Abort(args) => return control::command(&args.args, CommandKind::Abort, args.yes).await,
        Command::OverrideFreeze(args) => {
            return control::command(&args, CommandKind::OverrideFreeze, true).await;
        }
        Command::Retry(args) => return control::command(&args, CommandKind::Retry, true).await,
        Command::Undo(args) => return cluster::undo(&args).await,
        Command::Doctor(args) => return cluster::doctor(&args).await,
        Command::Adopt(args) => Box::pin(cluster::adopt(&args)).await?,
        Command::Convert(args) => return convert::convert(&args),
        Command::Lint(args) => return cluster::lint(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            generate(shell, &mut Args::command(), "serin", &mut script);
            std::io::stdout().write_all(&script)?;
        }
        Command::Man { command } => man(command.as_deref())?,
        Command::Wait(args) => return Ok(cluster::wait(&args).await),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a manual page.
fn man(name: Option<&str>) -> anyhow::Result<()> {
    let mut whole = Args::command();
    whole.build();
    let command = match name {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).cloned();
            found.with_context(|| format!("{name}: there is no such command: serin --help lists them"))?
        }
    };
    Man::new(command).render(&mut std::io::stdout())?;
    Ok(())
}

fn install_log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// The folder in which an agent keeps its things when `--state` does not name one: beside what it drives.
fn default_state_dir(ecds_dir: &Path) -> PathBuf {
    ecds_dir.join("agent")
}

fn read_release(path: &Path) -> anyhow::Result<Release> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--release: {}: cannot read it", path.display()))?;
    Release::from_yaml(&text).map_err(|error| anyhow::anyhow!("{}: {}", path.display(), explained(&error)))
}
