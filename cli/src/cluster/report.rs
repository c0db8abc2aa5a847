/*!
`serin report NAME [RUN]`: what came of a run, to be kept: as Markdown, as a page, or as JSON.
*/
mod blocks;

use anyhow::Context;
use clap::ValueEnum;
use serin_agent::view::words::{age, outcome};
use serin_agent::view::{PastRun, RunReport, Tally, TestView, VersionView};
use serin_rollout::Grouped;

use self::blocks::{Block, html, markdown};
use super::access::Access;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Release.
    name: String,
    /// The run, as `serin history` has it [default: the latest].
    run: Option<String>,
    /// The form.
    #[arg(long, short, value_enum, default_value_t = Form::Md)]
    output: Form,
    #[command(flatten)]
    access: Access,
}

/// What a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Markdown.
    Md,
    /// A page by itself.
    Html,
    /// One JSON document.
    Json,
}

pub(crate) async fn report(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let object = cluster.release(&args.name).await?;
    let view = cluster.view(&object).await;
    let report = RunReport::of(&object, &view, args.run.as_deref()).with_context(|| {
        let known: Vec<_> = PastRun::all(&object).into_iter().map(|past| past.run).collect();
        match &args.run {
            _ if known.is_empty() => format!("release {} has had no run yet", args.name),
            Some(run) => format!("release {} has no run {run}, only {}", args.name, known.join(", ")),
            None => format!("release {} has had no run yet", args.name),
        }
    })?;
    let title = format!("Release {}/{}, run {}", report.namespace, report.name, report.past.run);
    match args.output {
        Form::Md => print!("{}", markdown(&title, &blocks(&report))),
        Form::Html => print!("{}", html(&title, &blocks(&report))),
        Form::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

fn blocks(report: &RunReport) -> Vec<Block> {
    let mut blocks = summary(report);
    blocks.push(Block::Heading("Shares"));
    let changes = report.past.changes.iter().map(|change| {
        let moved = format!("{} to {}", change.from, change.to);
        vec![format!("{:.0}", change.at), moved, change.by.clone(), change.message.clone()]
    });
    blocks.push(Block::Table(vec!["when", "share", "by", "why"], changes.collect()));
    if let Some(latest) = &report.latest {
        blocks.push(Block::Heading("Versions"));
        let versions = latest.versions.iter().map(version).collect();
        blocks.push(Block::Table(vec!["version", "role", "share", "of requests", "image"], versions));
        if let Some(verdict) = &latest.verdict {
            blocks.push(Block::Heading("Evidence"));
            blocks.push(Block::Text(verdict.message.clone()));
            let tests = verdict.tests.iter().map(test).collect();
            let columns = vec![
                "test",
                "canary",
                "stable",
                "limit",
                "if the canary is good: once in",
                "back at once in",
            ];
            blocks.push(Block::Table(columns, tests));
            blocks.extend(
                verdict
                    .not_judged
                    .iter()
                    .map(|not| Block::Text(format!("Not judged: {}: {}.", not.what, not.why))),
            );
        }
    } else {
        blocks.push(Block::Text("Of an earlier run no evidence is kept.".to_owned()));
    }
    if !report.news.is_empty() {
        blocks.push(Block::Heading("What happened"));
        let news = report
            .news
            .iter()
            .map(|news| vec![format!("{:.0}", news.at), news.reason.clone(), news.message.clone()]);
        blocks.push(Block::Table(vec!["when", "what", ""], news.collect()));
    }
    blocks
}

fn summary(report: &RunReport) -> Vec<Block> {
    let past = &report.past;
    let mut facts = vec![
        vec!["outcome".to_owned(), outcome(past)],
        vec!["began".to_owned(), format!("{:.0}", past.started)],
    ];
    if let Some(last) = past.last_change {
        let lasted = age(past.started, last);
        facts.push(vec!["last change of the share".to_owned(), format!("{last:.0}, after {lasted}")]);
    }
    facts.push(vec!["largest share".to_owned(), past.reached.to_string()]);
    let mut blocks = Vec::new();
    if let Some(latest) = &report.latest {
        blocks.push(Block::Text(latest.message.clone()));
        facts.extend(latest.users.map(|users| {
            let seen =
                format!("about {}, {} of them with a failure", Grouped(users.seen), Grouped(users.failed));
            vec!["users who had it".to_owned(), seen]
        }));
    }
    blocks.push(Block::Table(vec!["", ""], facts));
    blocks
}

fn version(version: &VersionView) -> Vec<String> {
    let served = version
        .served
        .map_or_else(String::new, |served| format!("{} ({})", served.percent, Grouped(served.requests)));
    let image = version.image.clone().or_else(|| version.deployment.clone()).unwrap_or_default();
    vec![version.name.clone(), format!("{:?}", version.role), version.weight.to_string(), served, image]
}

fn test(test: &TestView) -> Vec<String> {
    let tally = |tally: Tally| match tally.of {
        Some(of) => format!("{} of {}", Grouped(tally.bad), Grouped(of)),
        None => Grouped(tally.bad).to_string(),
    };
    let back = if test.dry_run { "only shown".to_owned() } else { Grouped(test.odds.needed).to_string() };
    vec![
        test.name.clone(),
        tally(test.canary),
        test.stable.map_or_else(String::new, tally),
        test.limit.map_or_else(String::new, |limit| limit.to_string()),
        Grouped(test.odds.now).to_string(),
        back,
    ]
}

#[cfg(test)]
mod tests;
