/*!
`serin status`, and the commands to a running agent.
*/
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{Table, presets};
use tokio::time::{Instant, sleep};

use super::report::{Report, table};
use serin_agent::serve::control::Client;
use serin_agent::standalone::View;
use serin_rollout::{CommandKind, ProxyState};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent's folder: --state of `serin run`.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Your name, for the audit log.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// The agent's folder: --state of `serin run`.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Print everything, as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let view = Client::new(&args.state)?.view().await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        print!("{}", render(&view));
    }
    Ok(())
}

/// Gives a command and prints what the agent makes of it.
pub(super) async fn command(args: &Args, kind: CommandKind) -> anyhow::Result<()> {
    let client = Client::new(&args.state)?;
    let before = client.view().await?;
    client.command(kind, &args.by).await?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let view = client.view().await?;
        if view.looked_at > before.looked_at || Instant::now() > deadline {
            for entry in view.journal.iter().filter(|entry| Some(entry.at) > before.looked_at) {
                println!("{}", entry.news);
            }
            return Ok(());
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
        proxies.add_row([proxy.name.clone(), describe(&proxy.state)]);
    }
    let journal: Vec<_> =
        view.journal.iter().map(|entry| format!("{:.0}  {}", entry.at, entry.news)).collect();
    facts.add_row(["verdict", &report.because]);
    let tables = report.tables();
    format!("{facts}\n\n{tables}\n\n{proxies}\n\nWhat happened\n{}\n", journal.join("\n"))
}

fn describe(state: &ProxyState) -> String {
    match state {
        ProxyState::Silent { error } => format!("does not answer: {error}"),
        ProxyState::Bypassed => "does not run the filter".to_owned(),
        ProxyState::Runs { revision, refused: None } => format!("runs revision {revision}"),
        ProxyState::Runs { revision, refused: Some(why) } => {
            format!("keeps revision {revision} and refuses the present one: {why}")
        }
    }
}
