/*!
Whether the filter would take the policies of a Release: its own reader is asked, so the two cannot disagree.

The reader stops at the first thing it refuses. So that a person sees everything at once, each list entry is
put to it in a policy of its own, and then the whole.
*/
use serin_policy::{Arm, Document, PolicySpec, Proxy, Refusal, Source, Table, Weight};

use super::problem::Problems;
use super::{Release, faults};

pub(super) fn check(release: &Release, problems: &mut Problems) {
    let whole = release.policy(1, Weight::ZERO, false, false);
    for (index, part) in parts(release, &whole) {
        if let Some(refusal) = refusal(part) {
            add(&refusal, index, problems);
        }
    }
    // What only the whole can show, such as two segments of one name; any part's problem would come up again.
    if problems.is_empty()
        && let Some(refusal) = refusal(whole)
    {
        add(&refusal, None, problems);
    }
}

/// Policies with one entry of `whole` each, and the entry's index where it is one of a list.
fn parts(release: &Release, whole: &PolicySpec) -> Vec<(Option<usize>, PolicySpec)> {
    let bare = PolicySpec {
        name: "default/release".to_owned(),
        salt: "salt".to_owned(),
        run: None,
        hosts: vec!["*".to_owned()],
        path_prefix: "/".to_owned(),
        // What there is beside the two was checked by itself.
        versions: whole.versions.iter().take(Arm::BOTH.len()).cloned().collect(),
        steps: Vec::new(),
        identity: Vec::new(),
        cookie: None,
        preview_hosts: Vec::new(),
        overrides: Vec::new(),
        links: None,
        segments: Vec::new(),
        flags: Vec::new(),
        marks: Vec::new(),
        response_header: None,
        ..whole.clone()
    };
    let mut parts = vec![
        (None, PolicySpec { path_prefix: whole.path_prefix.clone(), ..bare.clone() }),
        (None, PolicySpec { links: whole.links.clone(), ..bare.clone() }),
        (None, PolicySpec { response_header: whole.response_header.clone(), ..bare.clone() }),
    ];
    if let Some(cookie) = &whole.cookie {
        let itself = Source::Cookie(cookie.name.clone());
        let identity = whole.identity.iter().filter(|source| **source == itself).cloned().collect();
        parts.push((None, PolicySpec { identity, cookie: Some(cookie.clone()), ..bare.clone() }));
    }
    // Those for testers come last, and have a field of their own.
    let hosts = whole.hosts.strip_suffix(whole.preview_hosts.as_slice()).unwrap_or(&whole.hosts);
    parts.extend(each(hosts, |host| PolicySpec { hosts: vec![host], ..bare.clone() }));
    parts.extend(each(&whole.preview_hosts, |host| PolicySpec { preview_hosts: vec![host], ..bare.clone() }));
    parts.extend(each(&whole.identity, |source| PolicySpec { identity: vec![source], ..bare.clone() }));
    parts.extend(each(&whole.overrides, |one| PolicySpec { overrides: vec![one], ..bare.clone() }));
    parts.extend(each(&whole.flags, |one| PolicySpec { flags: vec![one], ..bare.clone() }));
    parts.extend(each(&release.faults, |one| PolicySpec {
        marks: faults::marks(&[one], false),
        ..bare.clone()
    }));
    parts.extend(each(&whole.segments, |one| {
        let versions = if one.version.is_some() { &whole.versions } else { &bare.versions };
        PolicySpec { versions: versions.clone(), segments: vec![one], ..bare.clone() }
    }));
    parts
}

fn each<T: Clone>(
    list: &[T],
    policy_of: impl Fn(T) -> PolicySpec,
) -> impl Iterator<Item = (Option<usize>, PolicySpec)> {
    list.iter().enumerate().map(move |(index, entry)| (Some(index), policy_of(entry.clone())))
}

/// What the filter's reader says of a document with this policy.
fn refusal(policy: PolicySpec) -> Option<Refusal> {
    let json = serde_json::to_vec(&Document::new(vec![policy])).unwrap_or_default();
    let (_, refusals) = Table::read(&json, &Proxy::default(), &Table::default());
    refusals.into_iter().next()
}

/// Notes a refusal under the path that the field has in a Release.
fn add(refusal: &Refusal, index: Option<usize>, problems: &mut Problems) {
    let field = refusal.field.strip_prefix("policies[0].").unwrap_or(&refusal.field);
    let field = match index {
        Some(index) => field.replacen("[0]", &format!("[{index}]"), 1),
        None => field.to_owned(),
    };
    let spelling = PATHS.iter().find_map(|(policy, release)| Some((release, field.strip_prefix(policy)?)));
    let path = spelling.map_or_else(|| format!("spec.{field}"), |(release, rest)| format!("{release}{rest}"));
    problems.add(path, &refusal.value, &refusal.hint);
}

/// Fields of a policy that a Release spells otherwise than `spec.<field>`.
const PATHS: [(&str, &str); 6] = [
    ("hosts", "spec.routing.hosts"),
    ("previewHosts", "spec.routing.previewHosts"),
    ("pathPrefix", "spec.routing.pathPrefix"),
    ("identity", "spec.sessionAffinity.sources"),
    ("cookie", "spec.sessionAffinity.cookie"),
    // Both of a fault have its matches.
    ("marks", "spec.faults"),
];
