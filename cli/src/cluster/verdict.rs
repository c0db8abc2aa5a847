/*!
`serin analyze NAME`: the verdict on a Release as its agent has it, for scripts.
*/
use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serin_agent::cluster::inspect;
use serin_agent::errors::chain;
use serin_agent::view::View;
use serin_release::status::VerdictStatus;

use super::access::Access;
use super::style::Paint;
use super::tree::evidence_tree;
use super::watch::Watch;
use crate::analyze::Judged;

/// Shows the evidence, once or whenever it has changed, and says what it comes to.
///
/// # Errors
/// When nothing is judged, or the agent does not look.
pub(crate) async fn verdict(
    name: &str,
    agents: &str,
    (goes_on, json): (bool, bool),
    access: &Access,
) -> anyhow::Result<Judged> {
    let cluster = access.connect().await?;
    match inspect::leader(&cluster.client, agents).await {
        Ok(Some(_)) => {}
        // What a status says stays there when nobody looks any more.
        Ok(None) => bail!(
            "no agent renews the Lease {agents}/serin: what the status says may be old; see kubectl logs of the agents, or \
             name their namespace by --agent-namespace"
        ),
        Err(error) => eprintln!("serin: whether an agent looks cannot be told: {}", chain(&error)),
    }
    let mut watch = Watch::begin(&cluster, name);
    loop {
        let view = View::of_status(&watch.next().await?);
        if json {
            println!("{}", serde_json::to_string(&view.verdict)?);
        } else if let Some(tree) = evidence_tree(&view, Timestamp::now(), Paint::of_stdout()) {
            println!("{tree}");
        }
        if !goes_on {
            return judged(&view);
        }
    }
}

fn judged(view: &View) -> anyhow::Result<Judged> {
    ensure!(view.is_current, "no agent has seen the present spec: what there is, is about an earlier one");
    if let Some(waits) = view.waits.as_ref().filter(|waits| waits.reason == "AwaitsData") {
        bail!("{}", waits.message);
    }
    let verdict = view.verdict.as_ref();
    let verdict =
        verdict.with_context(|| format!("nothing is judged at present: {}: {}", view.phase, view.message))?;
    Ok(match verdict.verdict {
        VerdictStatus::Pass => Judged::Healthy,
        VerdictStatus::Fail => Judged::Unhealthy,
        VerdictStatus::NotEnoughData
        | VerdictStatus::Unclear
        | VerdictStatus::SharedTrouble
        | VerdictStatus::SampleRatio
        | VerdictStatus::TrafficShare => Judged::NotYet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tree::tests::{Found, fixtures};

    #[test]
    fn a_verdict_is_told_where_there_is_one_and_an_agent_looks() {
        let of = |fixture: &str| {
            let (_, Found { release, .. }) =
                fixtures().into_iter().find(|(name, _)| name == fixture).unwrap();
            View::of_status(&release)
        };
        for (fixture, expected) in [
            ("awaits-approval", Some(Judged::Healthy)),
            ("rolled-back", Some(Judged::Unhealthy)),
            ("preparing", None),
            ("idle", None),
        ] {
            assert_eq!(judged(&of(fixture)).ok(), expected, "{fixture}");
        }
        let mut blind = of("awaits-approval");
        blind.waits.as_mut().unwrap().reason = "AwaitsData".to_owned();
        assert!(judged(&blind).is_err());
        let mut stale = of("awaits-approval");
        stale.is_current = false;
        assert!(judged(&stale).is_err());
        let mut early = of("awaits-approval");
        early.verdict.as_mut().unwrap().verdict = VerdictStatus::NotEnoughData;
        assert_eq!(judged(&early).unwrap(), Judged::NotYet);
    }
}
