/*!
`serin events NAME`: what was told of a Release, line by line, and with `--follow` what is told from now on.
*/
use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Event;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use serin_agent::view::News;

use super::access::{Access, Cluster, news, of_release};
use super::style::Paint;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Release.
    name: String,
    /// Go on with what is told from now on, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn events(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let release = cluster.release(&args.name).await?;
    let told = cluster.view(&release).await.news;
    for news in &told {
        print(news, args)?;
    }
    if !args.follow {
        return Ok(());
    }
    tokio::select! {
        ended = follow(&cluster, args, &told) => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// Prints what is new, each as often as it is told.
async fn follow(cluster: &Cluster, args: &Args, told: &[News]) -> anyhow::Result<()> {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let config = watcher::Config::default().fields(&of_release(&args.name));
    let events = watcher(api, config).default_backoff().applied_objects();
    let mut events = std::pin::pin!(events);
    // A watch that begins anew gives everything once more.
    let mut seen: BTreeMap<String, News> = BTreeMap::new();
    while let Some(event) = events.try_next().await.context("events may not be watched")? {
        let key = event.metadata.uid.clone().unwrap_or_default();
        let Some(news) = news(event) else { continue };
        if told.contains(&news) || seen.get(&key) == Some(&news) {
            continue;
        }
        print(&news, args)?;
        seen.insert(key, news);
    }
    Ok(())
}

fn print(news: &News, args: &Args) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(news)?)?;
    } else {
        writeln!(out, "{}", line(news, Paint::of_stdout()))?;
    }
    // Whoever reads through a pipe sees it when it is told.
    out.flush()?;
    Ok(())
}

fn line(news: &News, paint: Paint) -> String {
    let reason = format!("{:<16}", news.reason);
    let reason = if news.warning { paint.doubtful(&reason) } else { reason };
    format!("{:.0}  {reason}  {}", news.at, news.message)
}
