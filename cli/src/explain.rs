/*!
`serin explain`: what the filter would make of a request, by the filter's own rules: for a Release of a cluster by what proxies
are given now, for one of a file by a weight or by what is in force in a folder.
*/
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use serin_policy::links::Visit;
use serin_policy::{Arm, Cohort, Decision, Document, Policy, Proxy, Reason, Request, Table, Weight};
use url::Url;

use super::cluster::{self, Access, InForce, Plugin};
use super::{WrongUsage, read_release};
use serin_agent::mesh::ecds::{self, Contents};
use serin_release::Percent;
use serin_release::status::ProxyCounts;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, in a cluster: by the policies that proxies are given now.
    #[arg(value_name = "NAME", conflicts_with_all = ["release", "weight", "ecds_dir"])]
    name: Option<String>,
    /// Instead of NAME, the Release as a YAML file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "context", "namespace"])]
    release: Option<PathBuf>,
    /// The request's address, such as `https://shop.example.com/cart`, in place of --host and --path.
    #[arg(long, conflicts_with_all = ["host", "path"], value_parser = url)]
    url: Option<Url>,
    /// A header of the request, as with curl; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// Host of the request, with or without a port [default: the Release's first host].
    #[arg(long)]
    host: Option<String>,
    /// Path of the request.
    #[arg(long, default_value = "/")]
    path: String,
    /// Method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Explain for this weight of the canary, in percent.
    #[arg(long, value_name = "PERCENT", conflicts_with = "ecds_dir")]
    weight: Option<String>,
    /// Explain for the policy in force in this folder, from which the Envoys read the filter's configuration.
    #[arg(long, value_name = "DIR")]
    ecds_dir: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Clone)]
struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or("write it as 'name: value'")?;
        Ok(Self { name: name.trim().to_ascii_lowercase(), value: value.trim().to_owned() })
    }
}

fn url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    url.ok_or("write all of it, such as https://shop.example.com/cart")
}

/// The request as it was typed.
struct Typed<'a> {
    method: &'a str,
    headers: &'a [Header],
    host: String,
    path: String,
}

impl<'a> Typed<'a> {
    /// The request of `args`, to `host` where they name none.
    fn of(args: &'a Args, host: &str) -> Self {
        let (host, path) = match &args.url {
            Some(url) => {
                let port = url.port().map(|port| format!(":{port}"));
                let query = url.query().map(|query| format!("?{query}"));
                (
                    url.host_str().unwrap_or_default().to_owned() + &port.unwrap_or_default(),
                    url.path().to_owned() + &query.unwrap_or_default(),
                )
            }
            None => (args.host.clone().unwrap_or_else(|| host.to_owned()), args.path.clone()),
        };
        Self { method: &args.method, headers: &args.headers, host, path }
    }

    /// What `table` makes of it.
    fn told_by(&self, table: &Table) -> String {
        match table.find(self.host.as_bytes(), || Some(self.path.clone().into_bytes())) {
            None => format!(
                "no policy answers for {}{}: the request passes as it is, to stable\n",
                self.host, self.path
            ),
            Some((index, policy)) => {
                let now = || u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
                let decision = policy.decide(self, table.lease(index, now), || None);
                link(&policy.visit(self)) + &render(policy, &decision) + &self.faults(policy, decision.arm)
            }
        }
    }
}

impl Typed<'_> {
    /// What is injected on purpose into answers to requests like it, if anything is.
    fn faults(&self, policy: &Policy, arm: Arm) -> String {
        let marks = policy.possible_marks(self, arm, self.now_seconds());
        let shares: Vec<_> = marks.iter().map(|mark| format!("{} for {}", mark.name, mark.weight)).collect();
        if shares.is_empty() { String::new() } else { format!("faults    {}\n", shares.join(", ")) }
    }
}

impl Request for Typed<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            ":authority" => Some(self.host.clone().into_bytes()),
            ":path" => Some(self.path.clone().into_bytes()),
            ":method" => Some(self.method.to_owned().into_bytes()),
            _ => self
                .headers
                .iter()
                .find(|header| header.name == name)
                .map(|header| header.value.clone().into()),
        }
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        let values = self.headers.iter().filter(|header| header.name == name);
        let values: Vec<_> = values.map(|header| header.value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(",").into_bytes())
    }

    fn now_seconds(&self) -> u64 {
        u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
    }
}

/// What becomes of the request if its address is a link. The rest is said of one that is none.
fn link(visit: &Visit) -> String {
    match visit {
        Visit::Plain => String::new(),
        Visit::Refused => "link      not right, or it has ended: the request is like any other\n".to_owned(),
        Visit::Follow { location, set_cookie } => {
            let cookie = set_cookie.split_once('=').map_or("", |(name, _)| name);
            let what = if set_cookie.contains("Max-Age=0;") { "taken away" } else { "set" };
            format!("link      on to {location}, the cookie {cookie} {what}; without it:\n")
        }
    }
}

pub(super) async fn explain(args: &Args) -> anyhow::Result<()> {
    match (&args.name, &args.release) {
        (Some(name), _) => in_cluster(name, args).await,
        (None, Some(release)) => by_file(release, args),
        (None, None) => Err(WrongUsage(
            "NAME: missing: write the name of a Release in the cluster, or --release FILE for plain Envoys",
        )
        .into()),
    }
}

/// By each plugin that carries the Release's policy: proxies at two places may have been given different ones.
async fn in_cluster(name: &str, args: &Args) -> anyhow::Result<()> {
    let InForce { host, proxies, plugins } = cluster::in_force(name, &args.access).await?;
    if plugins.is_empty() {
        println!(
            "no WasmPlugin has a policy of {name}: nobody is assigned, and the request goes by the routes alone"
        );
    }
    let typed = Typed::of(args, &host);
    for (i, Plugin { at, table, refused }) in plugins.iter().enumerate() {
        if i > 0 {
            println!();
        }
        println!("at        {at}");
        for why in refused {
            println!("refused   {why}");
        }
        print!("{}", typed.told_by(table));
    }
    let ProxyCounts { current, total, bypassed } = proxies;
    let without = if bypassed > 0 { format!(", {bypassed} without the filter") } else { String::new() };
    println!("proxies   {current} of {total} report the present policy{without}");
    Ok(())
}

fn by_file(release: &Path, args: &Args) -> anyhow::Result<()> {
    let release = read_release(release)?;
    let table = match (&args.weight, &args.ecds_dir) {
        (Some(weight), _) => {
            let weight = Percent::parse(weight).map_err(|hint| anyhow!("--weight: {weight}: {hint}"))?;
            let document = Document::new(vec![release.policy(0, weight.weight(), false, false)]);
            Table::read(&serde_json::to_vec(&document)?, &Proxy::default(), &Table::default()).0
        }
        (None, Some(folder)) => match ecds::read(folder)? {
            Contents::Policies { table, .. } => *table,
            Contents::Nothing => {
                bail!("--ecds-dir: {}: no agent has written a policy there yet", folder.display())
            }
            Contents::Unreadable(why) => bail!("--ecds-dir: {}: {why}", folder.display()),
        },
        (None, None) => bail!("give --weight PERCENT, or --ecds-dir DIR for what is in force there"),
    };
    // A release has at least one host.
    let host = release.hosts.first().map_or("", String::as_str);
    print!("{}", Typed::of(args, host).told_by(&table));
    Ok(())
}

fn render(policy: &Policy, decision: &Decision) -> String {
    let Decision { arm, reason, identity, point, flags, .. } = decision;
    let identity = match identity {
        Some(identity) => format!("{} (from {})", identity.id, identity.origin),
        None if *reason == Reason::NoIdentity && policy.cookie().is_some() => {
            "none yet; a browser would be given one with this answer, and drawn by it".to_owned()
        }
        None => "none, or not looked for".to_owned(),
    };
    let point = point.map_or_else(
        || "none".to_owned(),
        |point| {
            let where_it_is = match (arm, reason) {
                (Arm::Extra(_), _) => "in the lane of the version",
                (_, Reason::Bucket(Cohort::Lane(_))) => "in the lane of a version that takes no traffic",
                (Arm::Canary, _) => "below the weight",
                (Arm::Stable, _) => "not below the weight",
            };
            format!("{} of {}, {where_it_is}", point.get(), Weight::FULL.ppm())
        },
    );
    format!(
        "release   {}\n{}version   {}\nreason    {reason}\nidentity  {identity}\npoint     {point}\nweight    {} ({} ppm){}\nsalt      {}\n{}",
        policy.name(),
        // That of no proxy: for a weight that is only thought of.
        match policy.revision() {
            0 => String::new(),
            revision => format!("revision  {revision}\n"),
        },
        policy.version_name(*arm),
        policy.weight(),
        policy.weight().ppm(),
        if policy.is_closed() { ", closed" } else { "" },
        policy.salt(),
        flags.as_ref().map_or_else(String::new, |flags| format!(
            "flags     {}\n",
            if flags.is_empty() { "none" } else { flags }
        )),
    )
}
