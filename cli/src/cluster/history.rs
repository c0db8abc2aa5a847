/*!
`serin history NAME`: the last runs of a Release, a line each.
*/
use jiff::Timestamp;
use serin_agent::view::PastRun;
use serin_agent::view::words::{age, outcome, tone_of_outcome};

use super::access::Access;
use super::output::{Format, aligned, document};
use super::style::Paint;
use super::tree::short;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Release.
    name: String,
    /// The form.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn history(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let runs = PastRun::all(&cluster.release(&args.name).await?);
    if let Some(document) = document(args.output, &runs)? {
        print!("{document}");
    } else if runs.is_empty() {
        eprintln!("release {} has had no run yet", args.name);
    } else {
        let is_wide = args.output == Format::Wide;
        print!("{}", table(&runs, is_wide, Timestamp::now(), Paint::of_stdout()));
    }
    Ok(())
}

fn table(runs: &[PastRun], is_wide: bool, now: Timestamp, paint: Paint) -> String {
    let mut header = vec!["RUN", "BEGAN", "LASTED", "REACHED", "OUTCOME", "BY"];
    header.extend(is_wide.then_some("WHY"));
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for run in runs {
        let last = run.changes.last();
        // While it lasts, it lasts until now.
        let end = run.last_change.filter(|_| run.outcome.is_some()).unwrap_or(now);
        let mut row = vec![
            run.run.clone(),
            format!("{} ago", age(run.started, now)),
            age(run.started, end),
            run.reached.to_string(),
            outcome(run),
            last.map_or_else(|| "-".to_owned(), |change| short(name(&change.by))),
        ];
        row.extend(is_wide.then(|| last.map_or_else(|| "-".to_owned(), |change| change.message.clone())));
        rows.push(row);
    }
    aligned(&rows, |row, column| {
        let run = runs.get(row.checked_sub(1)?).filter(|_| column == 4)?;
        Some(paint.toned(tone_of_outcome(run.outcome), &outcome(run)))
    })
}

/// The name alone, without why and how far it is proved: that is told under `WHY`.
fn name(by: &str) -> &str {
    by.split([',', '(']).next().unwrap_or(by).trim_end()
}

#[cfg(test)]
mod tests;
