//! Releases of a real mesh, as they are shown.

use std::path::Path;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use serde::Deserialize;
use serin_release::ReleaseObject;
use serin_release::status::NotificationStatus;

use super::*;
use crate::cluster::style::unpainted;

/// What was there in a mesh at one moment.
#[derive(Deserialize)]
pub(in crate::cluster) struct Found {
    pub(in crate::cluster) at: Timestamp,
    pub(in crate::cluster) release: ReleaseObject,
    pub(in crate::cluster) deployments: Vec<Deployment>,
    pub(in crate::cluster) told: Vec<News>,
}

/// Everything that was found, by the files' names.
pub(in crate::cluster) fn fixtures() -> Vec<(String, Found)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/fixtures");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(found.len() >= 5);
    found
}

/// The views of all that.
fn found() -> impl Iterator<Item = (String, View, Timestamp)> {
    fixtures().into_iter().map(|(name, Found { at, release, deployments, told })| {
        (name, View::of(&release, &deployments, told), at)
    })
}

#[test]
fn a_release_is_a_tree_of_80_columns() {
    for (name, view, at) in found() {
        let plain = tree(&view, at, " -n shop", Paint(false));
        let widest = plain.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDTH), "{name}: {widest:?} columns\n{plain}");
        insta::assert_snapshot!(name, plain);
        let painted = tree(&view, at, " -n shop", Paint(true));
        assert_eq!(unpainted(&painted), plain, "colours say nothing");
        assert_ne!(painted, plain);
    }
}

#[test]
fn whoever_is_not_told_is_named_with_the_reason() {
    let (_, mut view, at) = found().next().expect("there are some");
    let told = |name: &str, error: Option<&str>| NotificationStatus {
        name: name.to_owned(),
        error: error.map(str::to_owned),
        ..NotificationStatus::default()
    };
    view.notifications = vec![told("team", Some("it answers 404 Not Found")), told("audit", None)];
    let plain = tree(&view, at, " -n shop", Paint(false));
    assert!(plain.contains("team is not told: it answers 404 Not Found"), "{plain}");
    assert!(!plain.contains("audit"), "{plain}");
}

#[test]
fn a_view_comes_back_from_json_as_it_was() {
    for (name, view, _) in found() {
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<View>(&json).unwrap(), view, "{name}");
    }
}

#[test]
fn ages_are_as_kubectl_has_them() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
    for (seconds, expected) in
        [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")]
    {
        assert_eq!(age(now - SignedDuration::from_secs(seconds), now), expected);
    }
}
