/*!
`serin link`: an address that gives a tester's plain browser a version until an hour, made of the release's token on the machine
of whoever has it. Nothing is written anywhere, and no proxy is asked.
*/
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use jiff::Timestamp;
use serin_policy::Arm;
use serin_policy::grant::Granter;
use serin_policy::links::LinkSpec;
use serin_release::duration;
use url::Url;

use super::cluster::{self, Access};
use super::{WrongUsage, read_release};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, in a cluster.
    #[arg(value_name = "NAME", conflicts_with = "release")]
    name: Option<String>,
    /// Instead of NAME, the Release as a YAML file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "context", "namespace"])]
    release: Option<PathBuf>,
    /// Print what goes into `spec.links` of the Release, and no address.
    #[arg(long, conflicts_with_all = ["to", "time", "url"])]
    key: bool,
    /// The version to be on.
    #[arg(long, default_value = "canary", value_parser = ["stable", "canary"])]
    to: String,
    /// For how long, to the end of the last hour.
    #[arg(long = "for", id = "time", value_name = "DURATION", default_value = "2h", value_parser = time)]
    time: Duration,
    /// The address to open [default: https:// and the Release's first host, with its path].
    #[arg(long, value_parser = url)]
    url: Option<Url>,
    /// Where the token is: the name of an environment variable, or a file.
    #[arg(long, value_name = "ENV|FILE", default_value = "SERIN_LINK_TOKEN")]
    token_from: PathBuf,
    #[command(flatten)]
    access: Access,
}

/// What is to be known of a Release.
pub(crate) struct Linked {
    /// `namespace/name`.
    pub(crate) name: String,
    pub(crate) links: Option<LinkSpec>,
    pub(crate) hosts: Vec<String>,
    pub(crate) path_prefix: String,
}

const LONGEST: Duration = Duration::from_hours(400 * 24);

fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    let is_some = (Duration::from_mins(1)..=LONGEST).contains(&time);
    is_some.then_some(time).ok_or_else(|| "give 1m to 400d: browsers keep no cookie for longer".to_owned())
}

fn url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    url.ok_or("write all of it, such as https://shop.example.com/cart")
}

pub(super) async fn link(args: &Args) -> anyhow::Result<()> {
    let token = token(&args.token_from)?;
    if args.key {
        let name = match (&args.name, &args.release) {
            (Some(name), _) => cluster::whole_name(name, &args.access).await?,
            (None, Some(file)) => read_release(file)?.name().to_owned(),
            (None, None) => return Err(NEITHER.into()),
        };
        println!("links: {{key: {}}}", Granter::new(&token, &name).key());
        return Ok(());
    }
    let linked = match (&args.name, &args.release) {
        (Some(name), _) => cluster::linked(name, &args.access).await?,
        (None, Some(file)) => of_file(file)?,
        (None, None) => return Err(NEITHER.into()),
    };
    let now = u64::try_from(Timestamp::now().as_second()).context("the clock is before 1970")?;
    let Link { address, until, way_out } = linked.link(&token, args, now)?;
    println!("{address}");
    let until = Timestamp::from_second(until.cast_signed())?.strftime("%Y-%m-%d %H:%M UTC");
    eprintln!("Whoever opens it is on {} until {until}, and out again by {way_out}", args.to);
    Ok(())
}

const NEITHER: WrongUsage = WrongUsage(
    "NAME: missing: write the name of a Release in the cluster, or --release FILE for plain Envoys",
);

fn of_file(file: &Path) -> anyhow::Result<Linked> {
    let release = read_release(file)?;
    Ok(Linked {
        name: release.name().to_owned(),
        links: release.links,
        hosts: release.hosts,
        path_prefix: release.path_prefix,
    })
}

/// The token: what the variable holds, or the file.
fn token(from: &Path) -> anyhow::Result<String> {
    let text = match std::env::var(from) {
        Ok(text) => text,
        Err(_) => std::fs::read_to_string(from).with_context(|| {
            format!(
                "--token-from: {}: there is no such environment variable, and no such file",
                from.display()
            )
        })?,
    };
    let token = text.trim_end_matches(['\r', '\n']).to_owned();
    let length = token.chars().count();
    ensure!(
        length >= Granter::SHORTEST_TOKEN,
        "--token-from: {}: {length} characters: give a token of at least {}, such as `openssl rand -hex 16` prints",
        from.display(),
        Granter::SHORTEST_TOKEN
    );
    Ok(token)
}

#[derive(Debug)]
struct Link {
    address: Url,
    until: u64,
    way_out: Url,
}

impl Linked {
    fn link(&self, token: &str, args: &Args, now: u64) -> anyhow::Result<Link> {
        let Self { name, links, .. } = self;
        let Some(LinkSpec { query, key }) = links else {
            bail!("release {name}: it has no spec.links: write there what the same command prints with --key")
        };
        let granter = Granter::new(token, name);
        ensure!(
            granter.key() == *key,
            "release {name}: spec.links.key is not that of this token: take the token that it was made of, or write there \
             what the same command prints with --key"
        );
        let base = args.url.clone().map_or_else(|| self.address(), Ok)?;
        let version = Arm::BOTH.iter().position(|arm| arm.as_str() == args.to);
        let grant = version.and_then(|version| granter.grant(version, &args.to, now + args.time.as_secs()));
        let (grant, until) = grant.ok_or_else(|| {
            let last = Timestamp::from_second(Granter::LAST.cast_signed()).unwrap_or_default();
            anyhow!("--for: it would end after {}, and no link lasts longer", last.strftime("%Y-%m-%d"))
        })?;
        let with = |value: &str| {
            let mut address = base.clone();
            address.query_pairs_mut().append_pair(query, value);
            address
        };
        Ok(Link { address: with(&grant), until, way_out: with("off") })
    }

    /// The address of the Release itself.
    fn address(&self) -> anyhow::Result<Url> {
        let host =
            self.hosts.iter().find(|host| !host.contains('*') && !host.ends_with(".svc.cluster.local"));
        let host = host.with_context(|| {
            format!("release {}: none of its hosts is one that a browser asks for: give --url", self.name)
        })?;
        url(&format!("https://{host}{}", self.path_prefix)).map_err(|hint| anyhow!("{host}: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};
    use serin_policy::links::Visit;
    use serin_policy::{Document, Proxy, Request, Table, Weight};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    /// 28 November 2026, 10:00.
    const NOW: u64 = 1_795_860_000;

    fn linked(key: &str) -> Linked {
        Linked {
            name: "shop/shop".to_owned(),
            links: Some(LinkSpec { query: "serin".to_owned(), key: key.to_owned() }),
            hosts: ["*.example.com", "shop.shop.svc.cluster.local", "shop.example.com"]
                .map(str::to_owned)
                .to_vec(),
            path_prefix: "/cart".to_owned(),
        }
    }

    fn made(linked: &Linked, words: &str) -> anyhow::Result<Link> {
        let command = Args::augment_args(Command::new("link").no_binary_name(true));
        let matches = command.try_get_matches_from(words.split_whitespace())?;
        linked.link(TOKEN, &Args::from_arg_matches(&matches)?, NOW)
    }

    struct Get(Url);

    impl Request for Get {
        fn header(&self, name: &str) -> Option<Vec<u8>> {
            match name {
                ":path" => Some(format!("{}?{}", self.0.path(), self.0.query().unwrap_or_default()).into()),
                ":method" => Some(b"GET".to_vec()),
                _ => None,
            }
        }

        fn header_list(&self, _: &str) -> Option<Vec<u8>> {
            None
        }

        fn now_seconds(&self) -> u64 {
            NOW
        }
    }

    #[test]
    fn proxies_follow_what_is_made_here() {
        let key = Granter::new(TOKEN, "shop/shop").key();
        let release = serin_release::Release::from_yaml(&format!(
            "{{apiVersion: serin.dev/v1alpha1, kind: Release, metadata: {{name: shop, namespace: shop}}, spec: {{service: \
             {{name: shop}}, canary: {{version: '1'}}, links: {{key: {key}}}}}}}"
        ))
        .unwrap();
        let json =
            serde_json::to_vec(&Document::new(vec![release.policy(1, Weight::ZERO, false, false)])).unwrap();
        let (table, refused) = Table::read(&json, &Proxy::default(), &Table::default());
        assert!(refused.is_empty(), "{refused:?}");
        let policy = table.policies().next().unwrap();
        for (words, base, location, seconds) in [
            ("shop", "https://shop.example.com/cart?serin=", "/cart", 7_200),
            ("shop --for 30m --to stable", "https://shop.example.com/cart?serin=", "/cart", 3_600),
            (
                "shop --for 400d --url http://localhost:8080/a?b=c",
                "http://localhost:8080/a?b=c&serin=",
                "/a?b=c",
                34_560_000,
            ),
        ] {
            let Link { address, until, way_out } = made(&linked(&key), words).unwrap();
            assert!(address.as_str().starts_with(base), "{address}");
            assert_eq!((way_out.to_string(), until), (format!("{base}off"), NOW + seconds));
            let Visit::Follow { location: found, set_cookie } = policy.visit(&Get(address)) else {
                panic!("{words}")
            };
            assert_eq!(found, location);
            assert!(set_cookie.contains(&format!("; Max-Age={seconds}; ")), "{set_cookie}");
            assert!(matches!(policy.visit(&Get(way_out)), Visit::Follow { .. }));
        }
    }

    #[test]
    fn what_cannot_be_made_is_told_with_the_mend() {
        let key = Granter::new(TOKEN, "shop/shop").key();
        let told = |linked: &Linked, words: &str| made(linked, words).unwrap_err().to_string();
        let without = Linked { links: None, ..linked(&key) };
        assert!(told(&without, "shop").contains("no spec.links: write there"));
        assert!(told(&linked("AAAAAAAAAAAAAAAAAAAAAA"), "shop").contains("not that of this token"));
        let inside = Linked { hosts: vec!["shop.shop.svc.cluster.local".to_owned()], ..linked(&key) };
        assert!(told(&inside, "shop").contains("give --url"));
        for (words, mend) in [
            ("shop --for 1s", "give 1m to 400d"),
            ("shop --for soon", "write a duration"),
            ("shop --to v9", "possible values: stable, canary"),
            ("shop --url shop.example.com", "write all of it"),
        ] {
            let told = told(&linked(&key), words);
            assert!(told.contains(mend), "{words}: {told}");
        }
    }
}
