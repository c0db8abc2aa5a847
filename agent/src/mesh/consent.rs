/*!
Which hosts a Release may have inside the mesh: its Service's own names, what a Gateway lets its namespace have, and
another namespace's where that has consented by a label on itself.

Whoever writes a VirtualService for a host at `mesh` takes that host's callers with it, in every namespace. Of a Gateway's
hosts the Gateway decides ([`gateway_allows`](super::claims::gateway_allows)); inside the mesh nobody else does.
*/
use super::hosts::{canonical, overlap, service_host, without_port};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery};

/// The label by which a namespace lets another one's Releases have its hosts. Its value is that other namespace.
pub const HOSTS_FROM: &str = "serin.dev/hosts-from";

/// What an agent knows of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It does not see this one: it is for another namespace, or has no right to read Namespaces.
    Unseen,
    /// There is none of this name.
    Missing,
    /// It is there, with this value of [`HOSTS_FROM`].
    There(Option<String>),
}

/// Whose a host is inside the mesh.
enum Owner<'h> {
    Namespace(&'h str),
    /// Services of several namespaces.
    Several,
    World,
}

/// Why `release` may not have one of its hosts inside the mesh, if so. `known` looks a namespace up.
pub fn refusal(release: &Release, delivery: &Delivery, known: impl Fn(&str) -> Known) -> Option<String> {
    let (own, _) = release.name().split_once('/')?;
    let service = &release.service.name;
    let is_mesh = |point: &AttachPoint| matches!(point, AttachPoint::Sidecars { .. });
    let points = &delivery.routing.attach_points;
    if !points.iter().any(is_mesh) {
        return None;
    }
    let own_names = [service.clone(), format!("{service}.{own}"), service_host(service, own)];
    let hosts = release.hosts.iter().map(|host| canonical(without_port(host)));
    let mut others = hosts.filter(|host| !own_names.contains(host));
    others.find_map(|host| {
        let why = match owner(&host, own, &known) {
            Owner::World if points.iter().all(is_mesh) => {
                format!(
                    "with mesh alone a Release has its Service's own names ({}): take this one out, or add the Gateway that \
                     has it to spec.routing.gateways",
                    own_names.join(", ")
                )
            }
            Owner::World => return None,
            Owner::Several => {
                "inside the mesh these are the Services of all namespaces: name the hosts of this one".to_owned()
            }
            Owner::Namespace(of) => match known(of) {
                Known::There(Some(to)) if to == own => return None,
                Known::Unseen => format!(
                    "inside the mesh it may be namespace {of}'s, and this agent cannot ask for its consent, for it sees one \
                     namespace only or may not read Namespaces: take it out, or take mesh out of spec.routing.gateways"
                ),
                Known::Missing | Known::There(_) => format!(
                    "inside the mesh it is namespace {of}'s, and its callers would be led to Service {service} of {own}: take \
                     it out, or have that namespace consent: kubectl label namespace {of} {HOSTS_FROM}={own}"
                ),
            },
        };
        Some(format!("spec.routing.hosts: {host:?}: {why}"))
    })
}

fn owner<'h>(host: &'h str, own: &'h str, known: impl Fn(&str) -> Known) -> Owner<'h> {
    if host.contains('*') {
        return if overlap(host, "*.svc.cluster.local") { Owner::Several } else { Owner::World };
    }
    let labels: Vec<_> = host.split('.').collect();
    match labels[..] {
        [_] => Owner::Namespace(own),
        // A name of the world as well, such as example.com; where there is such a namespace, callers inside mean that.
        [_, of] if known(of) != Known::Missing => Owner::Namespace(of),
        [_, of, "svc", "cluster", "local"] => Owner::Namespace(of),
        _ => Owner::World,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mesh::fixtures;

    /// A Release of namespace `shop` with this host, where `team-b` has consented to `shop` and `team-c` to nobody.
    fn check(gateways: &[&str], host: &str, expected: Option<&str>) {
        let (release, delivery) = fixtures::release("shop", &json!({"gateways": gateways, "hosts": [host]}));
        let known = |namespace: &str| match namespace {
            "team-b" => Known::There(Some("shop".to_owned())),
            "shop" | "team-c" => Known::There(None),
            "unseen" => Known::Unseen,
            _ => Known::Missing,
        };
        let found = refusal(&release, &delivery, known);
        match expected {
            None => assert_eq!(found, None, "{host}"),
            Some(part) => {
                assert!(found.as_ref().is_some_and(|found| found.contains(part)), "{host}: {found:?}");
            }
        }
    }

    #[test]
    fn inside_the_mesh_a_release_has_its_services_own_names() {
        for host in ["shop", "shop.shop", "Shop.shop.svc:8080", "shop.shop.svc.cluster.local"] {
            check(&["mesh"], host, None);
        }
        check(&["mesh"], "shop.example.com", Some("with mesh alone"));
        check(&["mesh"], "cart", Some("namespace shop's"));
    }

    #[test]
    fn another_namespaces_host_takes_its_consent() {
        for gateways in [&["mesh"][..], &["edge/gw", "mesh"]] {
            for host in ["pay.team-c", "pay.team-c.svc", "pay.team-c.svc.cluster.local"] {
                check(gateways, host, Some("kubectl label namespace team-c serin.dev/hosts-from=shop"));
            }
            check(gateways, "pay.team-b.svc", None);
            check(gateways, "pay.unseen", Some("this agent cannot ask for its consent"));
            check(gateways, "pay.nowhere.svc", Some("namespace nowhere's"));
        }
    }

    #[test]
    fn of_a_gateways_hosts_the_gateway_decides() {
        for host in ["shop.example.com", "example.com", "*.example.com"] {
            check(&["edge/gw", "mesh"], host, None);
        }
        // Nobody inside comes by this Gateway.
        check(&["edge/gw"], "pay.team-c.svc.cluster.local", None);
        for host in ["*", "*.local", "*.team-c.svc.cluster.local"] {
            check(&["edge/gw", "mesh"], host, Some("the Services of all namespaces"));
        }
    }
}
