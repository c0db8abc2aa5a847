/*!
What the agent says at `/metrics`, held against its page and against the conventions of Prometheus.
*/
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serin_policy::Weight;
use serin_rollout::CommandKind;
use serin_tests::agent::Agent;
use serin_tests::site::{Plan, Site, eventually, release, run};
use serin_tests::tools::Tool;

use super::dashboards::{AGENT, RUN, users};
use super::file;

/// A kind of series: its type, its labels, and how many there are.
#[derive(Debug, PartialEq, Eq, Default)]
struct Series {
    kind: String,
    labels: BTreeSet<String>,
    /// None where that depends.
    count: Option<usize>,
}

/// What the page says of an agent without a cluster.
fn documented() -> Result<BTreeMap<String, Series>> {
    let page = std::fs::read_to_string(file("docs/series.md"))?;
    let (_, section) = page.split_once("\n## The agent\n").context("a section")?;
    let rows =
        section.lines().filter(|line| line.starts_with("| `serin_") && !line.contains(", in a cluster |"));
    rows.map(|row| {
        let columns: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, count, _] = columns[..] else { anyhow::bail!("five columns: {row}") };
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Ok((
            name.trim_matches('`').to_owned(),
            Series { kind: kind.to_owned(), labels, count: count.parse().ok() },
        ))
    })
    .collect()
}

/// What a page of OpenMetrics has. The name of an info ends as its samples do.
fn served(page: &str) -> Result<BTreeMap<String, Series>> {
    let mut found = BTreeMap::<String, Series>::new();
    let mut present = (String::new(), String::new());
    for line in page.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').with_context(|| line.to_owned())?;
            present =
                (if kind == "info" { format!("{name}_info") } else { name.to_owned() }, kind.to_owned());
        } else if !line.starts_with('#') {
            let (name, kind) = &present;
            ensure!(line.starts_with(name.as_str()), "{line}: not of {name}");
            let series = found.entry(name.clone()).or_default();
            series.kind.clone_from(kind);
            let labels = line.split_once('{').and_then(|(_, rest)| Some(rest.rsplit_once('}')?.0));
            let labels = labels.into_iter().flat_map(|labels| labels.split("\","));
            series.labels.extend(labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
            series.count = Some(series.count.unwrap_or_default() + 1);
        }
    }
    Ok(found)
}

/// The same page in the older form, which is all that promtool reads: there are no infos and no units, and a counter is called as
/// its samples are.
fn as_text(page: &str) -> String {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kinds: BTreeMap<&str, &str> = kinds.collect();
    let line = |line: &str| {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            return String::new();
        }
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let ["#", what, name, rest] = words[..] else { return format!("{line}\n") };
        let suffix = match kinds.get(name) {
            Some(&"counter") => "_total",
            Some(&"info") => "_info",
            _ => "",
        };
        let rest = if rest == "info" { "gauge" } else { rest };
        format!("# {what} {name}{suffix} {rest}\n")
    };
    page.lines().map(line).collect()
}

/// What promtool has against a page.
fn promtool(page: &str) -> Result<Vec<String>> {
    let mut check = Command::new(Tool::Promtool.path()?);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn()?;
    check.stdin.take().context("it was asked for")?.write_all(as_text(page).as_bytes())?;
    let output = check.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8(said)?.lines().map(str::to_owned).collect())
}

#[test]
fn what_the_agent_serves_is_documented_and_named_by_convention() -> Result<()> {
    run(async {
        let release = release(RUN);
        let site = Site::at(Weight::ZERO, Plan { release: release.clone(), ..Plan::default() }).await?;
        let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
        let _users = users(&site);
        agent.wait_until("the first step", |view| view.status.phase.code() == "progressing").await?;
        agent.command(CommandKind::Pause).await?;
        let url = format!("http://{}/metrics", agent.address()?);
        let client = serin_agent::http::plain().build()?;
        let documented = documented()?;
        let page = eventually("all series", async || {
            let page = client.get(&url).send().await?.error_for_status()?.text().await?;
            let served = served(&page)?;
            let [of_page, of_agent] = [&documented, &served].map(|all| all.keys().collect::<Vec<_>>());
            ensure!(of_page == of_agent, "documented {of_page:?}, served {of_agent:?}");
            for (name, series) in &served {
                let Series { kind, labels, count } = &documented[name];
                ensure!((kind, labels) == (&series.kind, &series.labels), "{name}: {series:?}");
                ensure!(count.is_none() || *count == series.count, "{name}: {series:?}");
            }
            Ok(page)
        })
        .await?;
        let complaints = promtool(&page)?;
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        let complaints = promtool(&page.replace("serin_leader", "serinLeader_ms"))?;
        ensure!(complaints.iter().any(|line| line.contains("serinLeader_ms")), "{complaints:?}");
        Ok(())
    })
}
