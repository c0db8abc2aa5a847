/*!
A Release on a terminal: what one wants to know of it, from how far it is to what to do.
*/
use std::fmt::Write as _;

use jiff::Timestamp;
use serin_agent::view::words::{Tone, age, odds, tally, tone_of_verdict};
use serin_agent::view::{News, StepState, TestView, Todo, VersionView, View, WaitView, WaitsOn};
use serin_release::status::{CommandOutcome, Role};
use serin_rollout::Grouped;

use super::style::{Paint, WIDTH, wrap};

/// The columns before what an entry says: the branch and the key.
const KEY: usize = 10;
const INDENT: usize = 3 + KEY;

/// How much of what was told is shown.
const NEWS: usize = 5;

/// The columns of the bar that says how far a test is.
const BAR: usize = 10;

/// An entry of the tree: what it is about, what there is to say, and what hangs on it.
struct Entry {
    key: &'static str,
    lines: Vec<String>,
    under: Vec<Vec<String>>,
}

/// Draws a tree of `view` as it is `now`. `flags` are the words that lead a command to the same place.
pub(super) fn tree(view: &View, now: Timestamp, flags: &str, paint: Paint) -> String {
    let entry = |key, lines| Entry { key, lines, under: Vec::new() };
    let mut entries = Vec::new();
    if !view.is_current {
        let stale = "no agent has seen the present spec yet: what stands here is about an earlier one";
        entries.push(entry("spec", each(&wrap(stale, WIDTH - INDENT), |line| paint.doubtful(line))));
    }
    if !view.steps.is_empty() {
        entries.push(entry("steps", steps(view, paint)));
    }
    entries.push(entry("share", wrap(&view.share(), WIDTH - INDENT)));
    for version in &view.versions {
        let (key, name) = match version.role {
            Role::Stable => ("stable", String::new()),
            Role::Canary => ("canary", String::new()),
            Role::Extra => ("beside", format!("{}  ", version.name)),
        };
        let mut lines = vec![name + &self::version(version, paint)];
        lines.extend(version.message.iter().flat_map(|message| wrap(message, WIDTH - INDENT)));
        entries.push(entry(key, lines));
    }
    entries.push(entry("proxies", vec![proxies(view, paint)]));
    entries.extend(evidence(view, paint));
    if let Some(waits) = &view.waits {
        entries.push(entry("waits", self::waits(waits, now, paint)));
    } else if !view.message.is_empty() {
        entries.push(entry("now", wrap(&view.message, WIDTH - INDENT)));
    }
    if let Some(command) = &view.command {
        let refused = command.outcome == CommandOutcome::Refused;
        let outcome = if refused { "" } else { ": taken" };
        let text = format!("{} ago: {}{outcome}", age(command.at, now), command.message);
        let lines = wrap(&text, WIDTH - INDENT);
        entries.push(entry(
            "command",
            each(&lines, |line| if refused { paint.doubtful(line) } else { line.to_owned() }),
        ));
    }
    for told in &view.notifications {
        let Some(error) = &told.error else { continue };
        let text = format!("{} is not told: {error}", told.name);
        entries.push(entry("message", each(&wrap(&text, WIDTH - INDENT), |line| paint.doubtful(line))));
    }
    if let Some(todo) = &view.todo {
        entries.push(entry("to do", self::todo(todo, view, flags, paint)));
    }
    if !view.news.is_empty() {
        entries.push(entry("news", news(&view.news, now, paint)));
    }
    format!("{}\n{}", head(view, now, paint), branches(&entries, paint))
}

/// The evidence of `view` alone; none where nothing is judged.
pub(super) fn evidence_tree(view: &View, now: Timestamp, paint: Paint) -> Option<String> {
    let entry = evidence(view, paint)?;
    Some(format!("{}\n{}", head(view, now, paint), branches(&[entry], paint)))
}

fn head(view: &View, now: Timestamp, paint: Paint) -> String {
    let phase = phase(view, paint);
    let run = view.run.as_ref().map(|run| {
        let since = run.started.map(|started| format!(", begun {} ago", age(started, now)));
        format!("  run {}{}", run.name, since.unwrap_or_default())
    });
    format!("{}  {phase}{}", paint.strong(&view.full_name()), run.unwrap_or_default())
}

/// The phase, in the colour of how it is.
pub(super) fn phase(view: &View, paint: Paint) -> String {
    match view.tone() {
        // What is under way stands out all the same.
        Tone::Plain => paint.strong(view.phase.as_str()),
        tone => paint.toned(tone, view.phase.as_str()),
    }
}

fn steps(view: &View, paint: Paint) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut width = 0;
    for step in &view.steps {
        let text = format!("{} {}{}", step.state.mark(), step.weight, if step.approval { "?" } else { "" });
        let length = text.chars().count();
        if width > 0 && width + 2 + length > WIDTH - INDENT {
            lines.push(String::new());
            width = 0;
        }
        let gap = if width > 0 { "  " } else { "" };
        let text = match step.state {
            StepState::Done => paint.good(&text),
            StepState::Now => paint.strong(&text),
            StepState::Ahead => paint.faint(&text),
            StepState::TakenBack => paint.bad(&text),
        };
        if let Some(last) = lines.last_mut() {
            let _ = write!(last, "{gap}{text}");
        }
        width += gap.len() + length;
    }
    if view.steps.iter().any(|step| step.approval) {
        lines.push(paint.faint("? waits for a person's approval"));
    }
    lines
}

fn version(version: &VersionView, paint: Paint) -> String {
    let pods = version.pods.map_or_else(String::new, |pods| {
        let text = format!("  {}/{} pods", pods.ready, pods.wanted);
        if pods.ready < pods.wanted { paint.doubtful(&text) } else { text }
    });
    let served = version.served.map_or_else(String::new, |served| {
        format!("  {} of requests ({})", served.percent, Grouped(served.requests))
    });
    let image = version.image.as_ref().map(|image| format!("  {}", short(image)));
    let deployment = version.deployment.as_ref().map(|deployment| format!("  deployment/{deployment}"));
    let what = image.or(deployment).unwrap_or_default();
    format!("{:>5}{served}{pods}{what}", version.weight.to_string())
}

/// The end of a long name, such as an image's, which tells it from others.
pub(super) fn short(image: &str) -> String {
    const LONGEST: usize = 24;
    let length = image.chars().count();
    if length <= LONGEST {
        return image.to_owned();
    }
    let end: String = image.chars().skip(length - LONGEST + 1).collect();
    format!("…{end}")
}

fn proxies(view: &View, paint: Paint) -> String {
    let text = view.proxies_in_words();
    if view.proxies.all_current() { text } else { paint.doubtful(&text) }
}

fn evidence(view: &View, paint: Paint) -> Option<Entry> {
    let verdict = view.verdict.as_ref()?;
    let tone = tone_of_verdict(verdict.verdict);
    let lines = each(&wrap(&verdict.message, WIDTH - INDENT), |line| paint.toned(tone, line));
    let tests = verdict.tests.iter().map(|test| self::test(test, paint));
    let not_judged = verdict.not_judged.iter().map(|not| {
        let text = format!("not judged: {}: {}", not.what, not.why);
        each(&wrap(&text, WIDTH - 6), |line| paint.faint(line))
    });
    let injected = verdict.injected.iter().map(|of| {
        let text = format!(
            "not judged: {} requests of {} that met a fault on purpose",
            Grouped(of.requests),
            of.name
        );
        each(&wrap(&text, WIDTH - 6), |line| paint.faint(line))
    });
    Some(Entry { key: "evidence", lines, under: tests.chain(not_judged).chain(injected).collect() })
}

fn test(test: &TestView, paint: Paint) -> Vec<String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR")]
    let full = (test.against * 10.0).round() as usize;
    let full = full.min(BAR);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let bar = if full < BAR { bar } else { paint.bad(&bar) };
    let first = format!("{:<22} {bar}  1 in {}, {}", test.name, odds(test.odds.now), test.back());
    let unit = test.counts.as_str();
    let stable = test.stable.map_or_else(String::new, |stable| format!(", stable {}", tally(stable)));
    let limit = test.limit.map_or_else(String::new, |limit| format!(", limit {limit}"));
    let ratio = test.ratio_in_words().map_or_else(String::new, |ratio| format!(", {ratio}"));
    let second = format!("{unit}: canary {}{stable}{limit}{ratio}", tally(test.canary));
    let mut lines = vec![first];
    lines.extend(wrap(&second, WIDTH - 8).iter().map(|line| format!("  {}", paint.faint(line))));
    lines
}

fn waits(waits: &WaitView, now: Timestamp, paint: Paint) -> Vec<String> {
    let since = waits.since.map_or_else(String::new, |since| format!(" for {}", age(since, now)));
    let first = format!("{}{since}, for {}:", waits.reason, waits.on.as_str());
    let first = match waits.on {
        WaitsOn::Person | WaitsOn::Mending => paint.doubtful(&first),
        WaitsOn::Course | WaitsOn::Others => first,
    };
    [first].into_iter().chain(wrap(&waits.message, WIDTH - INDENT)).collect()
}

fn todo(todo: &Todo, view: &View, flags: &str, paint: Paint) -> Vec<String> {
    let commands =
        todo.commands.iter().map(|kind| paint.strong(&format!("serin {kind} {}{flags}", view.name)));
    wrap(&todo.text, WIDTH - INDENT).into_iter().chain(commands).collect()
}

fn news(news: &[News], now: Timestamp, paint: Paint) -> Vec<String> {
    let last = &news[news.len().saturating_sub(NEWS)..];
    let lines = last.iter().flat_map(|news| {
        let ago = age(news.at, now);
        let lines = wrap(&news.message, WIDTH - INDENT - 6).into_iter().enumerate();
        lines.map(move |(i, line)| {
            let ago = if i == 0 { ago.as_str() } else { "" };
            let line = if news.warning { paint.doubtful(&line) } else { line };
            format!("{ago:>4}  {line}")
        })
    });
    lines.collect()
}

fn branches(entries: &[Entry], paint: Paint) -> String {
    let mut drawn = String::new();
    for (i, entry) in entries.iter().enumerate() {
        let is_last = i + 1 == entries.len();
        let trunk = if is_last { "   " } else { "│  " };
        for (line, text) in entry.lines.iter().enumerate() {
            let (branch, key) = match (line, is_last) {
                (0, true) => ("└─ ", entry.key),
                (0, false) => ("├─ ", entry.key),
                _ => (trunk, ""),
            };
            let _ = writeln!(drawn, "{}", format!("{}{key:<KEY$}{text}", paint.faint(branch)).trim_end());
        }
        for (i, lines) in entry.under.iter().enumerate() {
            let is_last = i + 1 == entry.under.len();
            for (line, text) in lines.iter().enumerate() {
                let branch = match (line, is_last) {
                    (0, true) => "└─ ",
                    (0, false) => "├─ ",
                    (_, true) => "   ",
                    (_, false) => "│  ",
                };
                let _ = writeln!(drawn, "{}{text}", paint.faint(&format!("{trunk}{branch}")));
            }
        }
    }
    drawn
}

fn each(lines: &[String], change: impl Fn(&str) -> String) -> Vec<String> {
    lines.iter().map(|line| change(line)).collect()
}

#[cfg(test)]
pub(super) mod tests;
