//! The commands in the README and in `docs` are ones that this program takes.

use std::path::Path;

use clap::Parser;

use super::Args;

/// The lines after `$ ` in the blocks for a terminal, each with its continuations. A block may be a part of a list.
fn typed(page: &str) -> Vec<String> {
    let mut typed: Vec<String> = Vec::new();
    let (mut within, mut goes_on) = (false, false);
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            (within, goes_on) = (line == "```console", false);
            continue;
        }
        let text = line.strip_prefix("$ ").filter(|_| within);
        let part = text.unwrap_or(line).trim_end_matches('\\');
        match (text, typed.last_mut()) {
            (Some(_), _) => typed.push(part.to_owned()),
            (None, Some(last)) if goes_on => last.push_str(part),
            _ => {}
        }
        goes_on = line.ends_with('\\') && (goes_on || text.is_some());
    }
    typed
}

/// The arguments of this program in a line, if it calls it.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("{line}: a quote does not end"));
    let ours = words.into_iter().take_while(|word| !matches!(word.as_str(), "|" | "&" | "&&" | ">" | "||"));
    let ours: Vec<_> = ours.collect();
    let first = if ours.first().is_some_and(|word| word == "serin") {
        1
    } else if ours.starts_with(&["cargo", "run", "--release", "--"].map(str::to_owned)) {
        4
    } else {
        return None;
    };
    Some(ours[first..].to_vec())
}

#[test]
fn every_command_in_the_documentation_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let (mut commands, mut wrong) = (0, Vec::new());
    for page in pages.iter().filter(|page| page.extension().is_some_and(|found| found == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        for line in typed(&text) {
            let Some(arguments) = arguments(&line) else { continue };
            commands += 1;
            let taken = Args::try_parse_from(std::iter::once("serin".to_owned()).chain(arguments));
            wrong.extend(taken.err().map(|error| format!("{}: $ {line}\n{error}", page.display())));
        }
    }
    assert!(commands >= 20, "only {commands} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_is_found_as_it_is_typed() {
    let page = "\n```console\n$ serin bootstrap --stable 10.0.0.1:8080 \\\n    --canary b:1\n{}\n$ serin get | head\n$ ls\n```\n";
    let found: Vec<_> = typed(page).iter().filter_map(|line| arguments(line)).collect();
    assert_eq!(found, [vec!["bootstrap", "--stable", "10.0.0.1:8080", "--canary", "b:1"], vec!["get"]]);
}
