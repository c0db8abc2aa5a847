//! Reports of what was there in a mesh.

use serin_agent::view::View;

use super::*;
use crate::cluster::tree::tests::{Found, fixtures};

#[test]
fn a_report_says_what_came_of_a_run() {
    for (name, Found { release, deployments, told, .. }) in fixtures() {
        let view = View::of(&release, &deployments, told);
        let Some(report) = RunReport::of(&release, &view, None) else {
            assert!(PastRun::all(&release).is_empty(), "{name}");
            continue;
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<RunReport>(&json).unwrap(), report, "{name}");
        let page = html("report", &blocks(&report));
        assert_eq!(page.matches("<table>").count(), page.matches("</table>").count(), "{name}");
        if name == "rolled-back" {
            insta::assert_snapshot!(markdown("report", &blocks(&report)));
        }
    }
}

#[test]
fn an_earlier_run_has_its_own_changes_and_news_and_no_evidence() {
    let (_, Found { release, told, .. }) =
        fixtures().into_iter().find(|(name, _)| name == "aborted").unwrap();
    let mut release = release;
    let status = release.status.as_mut().unwrap();
    let mut earlier = status.history[0].clone();
    earlier.run = "earlier".to_owned();
    for change in &mut earlier.changes {
        change.at -= jiff::SignedDuration::from_hours(1);
    }
    earlier.started -= jiff::SignedDuration::from_hours(1);
    status.history.push(earlier);
    let view = View::of(&release, &[], told);
    let latest = RunReport::of(&release, &view, None).unwrap();
    assert!(latest.latest.is_some());
    let earlier = RunReport::of(&release, &view, Some("earlier")).unwrap();
    assert_eq!(earlier.latest, None);
    assert!(!earlier.news.is_empty() && earlier.news.iter().all(|news| news.at < latest.past.started));
    assert!(latest.news.iter().all(|news| news.at >= latest.past.started));
    assert_eq!(RunReport::of(&release, &view, Some("no such run")), None);
}
