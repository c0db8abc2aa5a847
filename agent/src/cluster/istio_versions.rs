/*!
What Istio's metrics call the two versions of a release.

They know a version by a label of its pods, and that label belongs to a Deployment: where versions change places (`Swap`),
the values do. What the Release says of them is said of the Deployments it names; where it says nothing, the pods'
templates do.
*/
use serin_release::prometheus::{Istio, Workload};
use serin_release::resource;

/// Sets what `istio` calls the versions, which are at `stable` and `canary` now.
pub(super) fn name(
    istio: &mut Istio,
    written: &resource::Istio,
    swapped: bool,
    [stable, canary]: &[Workload; 2],
) {
    let named = (&written.stable, &written.canary);
    let (of_stable, of_canary) = if swapped { (named.1, named.0) } else { named };
    let label = &istio.version_label;
    let value = |written: &Option<String>, workload| written.clone().or_else(|| value(label, workload));
    if let (Some(stable), Some(canary)) = (value(of_stable, stable), value(of_canary, canary))
        && stable != canary
    {
        (istio.stable, istio.canary) = (stable, canary);
    }
}

/// What Istio makes of a workload's labels.
fn value(label: &str, Workload { deployment, labels }: &Workload) -> Option<String> {
    let first = |names: &[&str]| names.iter().find_map(|name| labels.get(*name).cloned());
    match label {
        "destination_workload" => Some(deployment.clone()),
        "destination_version" => first(&["version"]),
        "destination_app" => first(&["app"]),
        "destination_canonical_service" => {
            first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
        }
        "destination_canonical_revision" => {
            first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serin_release::prometheus::Reporter;

    use super::*;

    /// Names the versions of Deployments `shop-blue` and `shop-green` by `label`, with what a Release says of them; expects
    /// what stable and canary are called.
    #[track_caller]
    fn check(label: &str, written: [Option<&str>; 2], swapped: bool, expected: [&str; 2]) {
        let workload = |color: &str, deployment: &str| Workload {
            deployment: deployment.to_owned(),
            labels: [("app", "shop"), ("version", color)].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        };
        let (blue, green) = (workload("blue", "shop-blue"), workload("green", "shop-green"));
        let mut istio = Istio {
            reporter: Reporter::Source,
            namespace: "shop".to_owned(),
            service: "shop".to_owned(),
            canary_service: "shop".to_owned(),
            version_label: label.to_owned(),
            stable: "stable".to_owned(),
            canary: "v2-0a1b".to_owned(),
            objective_ms: 500,
        };
        let [stable, canary] = written.map(|value| value.map(str::to_owned));
        let written = resource::Istio { stable, canary, ..resource::Istio::default() };
        let roles = if swapped { [green, blue] } else { [blue, green] };
        name(&mut istio, &written, swapped, &roles);
        assert_eq!([istio.stable, istio.canary], expected);
    }

    #[test]
    fn versions_are_called_as_their_pods_labels_say_in_whatever_role_they_are() {
        check("destination_version", [None, None], false, ["blue", "green"]);
        check("destination_version", [None, None], true, ["green", "blue"]);
        check("destination_workload", [None, None], true, ["shop-green", "shop-blue"]);
        check("destination_canonical_revision", [None, None], false, ["blue", "green"]);
    }

    #[test]
    fn what_a_release_says_is_of_the_deployments_it_names_and_goes_with_them() {
        check("color", [Some("b"), Some("g")], false, ["b", "g"]);
        check("color", [Some("b"), Some("g")], true, ["g", "b"]);
        check("destination_version", [Some("b"), None], true, ["green", "b"]);
    }

    #[test]
    fn labels_that_do_not_tell_the_versions_apart_name_none() {
        check("destination_app", [None, None], false, ["stable", "v2-0a1b"]);
        check("color", [None, None], false, ["stable", "v2-0a1b"]);
    }
}
