/*!
`serin get`: the Releases of a namespace, or of all, a line each.
*/
use anyhow::Context;
use jiff::Timestamp;
use kube::api::ListParams;
use serin_agent::view::View;
use serin_agent::view::words::age;

use super::access::{Access, read};
use super::output::{Format, aligned, document};
use super::style::Paint;
use super::tree::phase;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Releases of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The form.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn get(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let (releases, place) = if args.all_namespaces {
        (cluster.all_releases(), "any namespace".to_owned())
    } else {
        (cluster.releases(), format!("namespace {}", cluster.namespace))
    };
    let found = releases.list(&ListParams::default()).await.context("cannot list releases")?;
    let views: Vec<_> =
        found.items.into_iter().map(|found| View::of(&read(found), &[], Vec::new())).collect();
    if let Some(document) = document(args.output, &views)? {
        print!("{document}");
    } else if views.is_empty() {
        eprintln!("no releases in {place}");
    } else {
        let is_wide = args.output == Format::Wide;
        print!("{}", table(&views, args.all_namespaces, is_wide, Timestamp::now(), Paint::of_stdout()));
    }
    Ok(())
}

/// A line for each Release.
fn table(views: &[View], with_namespace: bool, is_wide: bool, now: Timestamp, paint: Paint) -> String {
    let columns = [
        ("NAMESPACE", with_namespace),
        ("NAME", true),
        ("PHASE", true),
        ("STEP", true),
        ("WEIGHT", true),
        ("SERVED", true),
        ("PROXIES", true),
        ("WAITS FOR", true),
        ("SINCE", true),
        ("RUN", is_wide),
        ("VERDICT", is_wide),
        ("MESSAGE", is_wide),
    ];
    let shown = |cells: [String; 12]| -> Vec<String> {
        cells.into_iter().zip(columns).filter_map(|(cell, (_, is_shown))| is_shown.then_some(cell)).collect()
    };
    let nothing = || "-".to_owned();
    let row = |view: &View| {
        shown([
            view.namespace.clone(),
            view.name.clone(),
            view.phase.to_string(),
            view.step.map_or_else(nothing, |step| format!("{}/{}", step.index, step.of)),
            view.weight.to_string(),
            view.served.map_or_else(nothing, |served| served.percent.to_string()),
            format!("{}/{}", view.proxies.current, view.proxies.total),
            view.waits.as_ref().map_or_else(nothing, |waits| waits.reason.clone()),
            view.waits.as_ref().and_then(|waits| waits.since).map_or_else(nothing, |since| age(since, now)),
            view.run.as_ref().map_or_else(nothing, |run| run.name.clone()),
            view.verdict.as_ref().map_or_else(nothing, |verdict| verdict.verdict.as_str().to_owned()),
            view.message.clone(),
        ])
    };
    let mut rows = vec![shown(columns.map(|(name, _)| name.to_owned()))];
    rows.extend(views.iter().map(row));
    let of_phase = usize::from(with_namespace) + 1;
    aligned(&rows, |row, column| {
        let view = views.get(row.checked_sub(1)?).filter(|_| column == of_phase)?;
        Some(phase(view, paint))
    })
}

#[cfg(test)]
mod tests;
