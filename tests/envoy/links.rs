//! Links: a plain browser becomes a tester's by an address, and is one of many again by another.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serin_policy::Weight;
use serin_policy::grant::Granter;
use serin_tests::site::{HOST, Plan, Site, eventually, release, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

static GRANTER: LazyLock<Granter> =
    LazyLock::new(|| Granter::new("0123456789abcdef0123456789abcdef", "shop/shop"));

/// That of `granter` which ends so many hours after the present one.
fn grant(granter: &Granter, hours: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    granter.grant(1, "canary", now / 3_600 * 3_600 + hours * 3_600).expect("there is one").0
}

/// A browser, as far as it matters: it writes addresses as it was given them, and has one cookie.
struct Browser {
    proxy: SocketAddr,
    is_http2: bool,
    cookie: String,
}

#[derive(Debug)]
struct Seen {
    status: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl Browser {
    async fn ask(&self, method: &str, path: &str) -> Result<Seen> {
        if self.is_http2 { self.ask_http2(method, path).await } else { self.ask_http1(method, path).await }
    }

    async fn ask_http1(&self, method: &str, path: &str) -> Result<Seen> {
        let mut connection = TcpStream::connect(self.proxy).await?;
        let cookie = &self.cookie;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no answer")?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Ok(Seen { status, headers })
    }

    async fn ask_http2(&self, method: &str, path: &str) -> Result<Seen> {
        let connection = TokioIo::new(TcpStream::connect(self.proxy).await?);
        let (mut sender, standalone) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), connection).await?;
        tokio::spawn(standalone);
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://{HOST}{path}"))
            .header("cookie", &self.cookie)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let text = |map: &HeaderMap| {
            let line = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            map.iter().map(line).collect()
        };
        Ok(Seen { status: response.status().as_str().to_owned(), headers: text(response.headers()) })
    }

    /// Opens an address that is a link, and goes where it leads.
    async fn follow(&mut self, path: &str, to: &str) -> Result<Seen> {
        let seen = self.ask("GET", path).await?;
        ensure!(seen.status == "303" && seen.header("location") == to, "{path}: {seen:?}");
        ensure!(seen.header("cache-control") == "private, no-store", "{seen:?}");
        ensure!(seen.header("referrer-policy") == "no-referrer", "{seen:?}");
        let set = seen.header("set-cookie").split(';').next().unwrap_or_default();
        set.clone_into(&mut self.cookie);
        self.ask("GET", to).await
    }
}

#[test]
fn a_link_makes_a_browser_a_testers_and_another_ends_it() -> Result<()> {
    run(async {
        let more = format!("links: {{key: {}}}", GRANTER.key());
        let plan = Plan { release: release(&more), ..Plan::default() };
        let mut site = Site::at(Weight::ZERO, plan).await?;
        for is_http2 in [false, true] {
            let mut browser = Browser { proxy: site.address(0), is_http2, cookie: String::new() };
            let seen = browser.ask("GET", "/cart").await?;
            ensure!(seen.header("x-served-by") == "stable", "{seen:?}");

            let link = format!("/cart?b=%2F%26&serin={}&a=1&&serin=x", grant(&GRANTER, 2));
            let seen = browser.follow(&link, "/cart?b=%2F%26&a=1&").await?;
            ensure!(seen.header("x-served-by") == "canary", "{seen:?}");
            ensure!(seen.header("cache-control") == "private", "{seen:?}");
            let seen = browser.ask("POST", "/cart").await?;
            ensure!(seen.header("x-served-by") == "canary", "{seen:?}");
            let seen = browser.follow("/cart?serin=off", "/cart").await?;
            ensure!(seen.header("x-served-by") == "stable", "{seen:?}");

            browser.cookie = format!("serin-link-shop={}", grant(&GRANTER, 2));
            site.push(&serin_release::Release::from_yaml(&release(&more))?, Weight::ZERO, true).await?;
            let seen = browser.ask("GET", "/").await?;
            ensure!(seen.header("x-served-by") == "stable", "closed: {seen:?}");
            site.push(&serin_release::Release::from_yaml(&release(&more))?, Weight::ZERO, false).await?;
            let seen = browser.ask("GET", "/").await?;
            ensure!(seen.header("x-served-by") == "canary", "open again: {seen:?}");
        }
        Ok(())
    })
}

#[test]
fn a_link_leads_nowhere_else_and_a_wrong_one_is_counted() -> Result<()> {
    run(async {
        let more = format!("links: {{key: {}}}", GRANTER.key());
        let plan = Plan { release: release(&more), ..Plan::default() };
        let site = Site::at(Weight::ZERO, plan).await?;
        let mut browser = Browser { proxy: site.address(0), is_http2: false, cookie: String::new() };
        let good = grant(&GRANTER, 2);
        for (path, to) in [
            ("//evil.example", "/.//evil.example"),
            ("///evil.example", "/.///evil.example"),
            ("/\\evil.example", "/./\\evil.example"),
        ] {
            browser.follow(&format!("{path}?serin={good}"), to).await?;
        }
        let seen = browser.ask("HEAD", &format!("/?serin={good}")).await?;
        ensure!(seen.status == "303", "{seen:?}");

        browser.cookie = String::new();
        let other = Granter::new("fedcba9876543210fedcba9876543210", "shop/shop");
        let longer = good.replacen("canary.1", "canary.2", 1);
        let wrong = ["canary".to_owned(), String::new(), grant(&GRANTER, 0), grant(&other, 2), longer];
        for (i, value) in wrong.iter().enumerate() {
            let seen = browser.ask("GET", &format!("/?serin={value}")).await?;
            ensure!(seen.status == "200" && seen.header("x-served-by") == "stable", "{value}: {seen:?}");
            let counted = format!("serin_refused_links{{tag=\"shop/shop\"}} {}\n", i + 1);
            let admin = format!("{}/stats/prometheus", site.admins()[0]);
            let http = serin_agent::http::plain().build()?;
            eventually("the count", async || {
                let stats = http.get(&admin).send().await?.text().await?;
                ensure!(stats.contains(&counted), "{counted}");
                Ok(())
            })
            .await?;
            // As a cookie it is worth as little.
            browser.cookie = format!("serin-link-shop={value}");
            let seen = browser.ask("GET", "/").await?;
            ensure!(seen.header("x-served-by") == "stable", "{value}: {seen:?}");
            browser.cookie = String::new();
        }
        // What is no navigation is no link, and nothing wrong either.
        let seen = browser.ask("POST", &format!("/?serin={good}")).await?;
        ensure!(seen.status == "200" && seen.header("x-served-by") == "stable", "{seen:?}");
        Ok(())
    })
}
