/*!
`serin explain`: what the filter would make of a request, made by the filter's own rules.
*/
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{anyhow, bail};
use serin_policy::{Arm, Decision, Document, Policy, Proxy, Reason, Request, Table, Weight};

use super::read_release;
use serin_agent::mesh::ecds::{self, Contents};
use serin_release::Percent;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, a YAML file.
    #[arg(long, value_name = "FILE")]
    release: PathBuf,
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

/// The request as it was typed.
struct Typed<'a> {
    args: &'a Args,
    host: &'a str,
}

impl Request for Typed<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            ":authority" => Some(self.host.to_owned().into_bytes()),
            ":path" => Some(self.args.path.clone().into_bytes()),
            ":method" => Some(self.args.method.clone().into_bytes()),
            _ => self
                .args
                .headers
                .iter()
                .find(|header| header.name == name)
                .map(|header| header.value.clone().into()),
        }
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        let values = self.args.headers.iter().filter(|header| header.name == name);
        let values: Vec<_> = values.map(|header| header.value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(",").into_bytes())
    }
}

pub(super) fn explain(args: &Args) -> anyhow::Result<()> {
    let release = read_release(&args.release)?;
    let table = match (&args.weight, &args.ecds_dir) {
        (Some(weight), _) => {
            let weight = Percent::parse(weight).map_err(|hint| anyhow!("--weight: {weight}: {hint}"))?;
            let document = Document::new(vec![release.policy(0, weight.weight(), false, false)]);
            Table::read(&serde_json::to_vec(&document)?, &Proxy::default(), &Table::default()).0
        }
        (None, Some(folder)) => match ecds::read(folder)? {
            Contents::Policies { table, .. } => table,
            Contents::Nothing => {
                bail!("--ecds-dir: {}: no agent has written a policy there yet", folder.display())
            }
            Contents::Unreadable(why) => bail!("--ecds-dir: {}: {why}", folder.display()),
        },
        (None, None) => bail!("give --weight PERCENT, or --ecds-dir DIR for what is in force there"),
    };
    // A release has at least one host.
    let host = args.host.as_ref().or(release.hosts.first()).map_or("", String::as_str);
    match table.find(host.as_bytes(), || Some(args.path.clone().into_bytes())) {
        None => println!("no policy answers for {host}{}: the request passes as it is, to stable", args.path),
        Some((_, policy)) => print!("{}", render(policy, &policy.decide(&Typed { args, host }, || None))),
    }
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
            let weight = if *arm == Arm::Canary { "below" } else { "not below" };
            format!("{} of {}, {weight} the weight", point.get(), Weight::FULL.ppm())
        },
    );
    format!(
        "release   {}\nversion   {}\nreason    {reason}\nidentity  {identity}\npoint     {point}\nweight    {} ({} ppm){}\nsalt      {}\n{}",
        policy.name(),
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
