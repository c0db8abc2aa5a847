/*!
`serin lint FILE…`: what is wrong with the Releases of files, before any cluster sees them.
*/
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use serin_release::lint::{Linted, lint};

use crate::convert::explained;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// YAML files with Releases, and with the MetricTemplates that they name. Other objects are passed over.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Says of each Release whether its spec makes sense.
pub(crate) fn check(args: &Args) -> anyhow::Result<ExitCode> {
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("{}: cannot read it", file.display()))
    };
    let texts = args.files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let mut is_wrong = false;
    for (file, linted) in args.files.iter().zip(lint(&texts, Timestamp::now())) {
        let file = file.display();
        match linted {
            Err(error) => {
                is_wrong = true;
                println!("{file}: {}", explained(&error));
            }
            Ok(releases) if releases.is_empty() => println!("{file}: no Release"),
            Ok(releases) => {
                for Linted { name, outcome } in releases {
                    is_wrong |= outcome.is_err();
                    println!("{file}: {}", said(&name, &outcome));
                }
            }
        }
    }
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn said(name: &str, outcome: &Result<Vec<String>, serin_release::ReleaseError>) -> String {
    match outcome {
        Ok(told) if told.is_empty() => format!("{name} makes sense"),
        Ok(told) => format!("{name} makes sense; {}", told.join("; ")),
        Err(error) => format!("{name}\n{}", explained(error)),
    }
}
