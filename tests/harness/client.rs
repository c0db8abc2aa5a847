/*!
A client that sends exactly the headers it is given and tells all about the answer.
*/
use std::net::SocketAddr;

use anyhow::{Context, Result};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serin_local::shop::Answer as Shop;

use crate::site::HOST;

/// A client of one host, which is [`HOST`] if none is named, unless a request says otherwise.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    host: HeaderValue,
}

/// An answer of the shop by way of an Envoy.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self::of(address, HOST)
    }

    /// A client of `host` at the server at `address`.
    pub fn of(address: SocketAddr, host: &'static str) -> Self {
        let http = serin_agent::http::plain().build().expect("a client without TLS can always be built");
        Self { http, base: format!("http://{address}"), host: HeaderValue::from_static(host) }
    }

    /// A client of `host` by way of the HTTP proxy at `address`.
    ///
    /// # Errors
    /// When there can be no such host.
    pub fn through(address: SocketAddr, host: &str) -> Result<Self> {
        let proxy = reqwest::Proxy::http(format!("http://{address}"))?;
        let http = serin_agent::http::plain().proxy(proxy).build()?;
        Ok(Self { http, base: format!("http://{host}"), host: HeaderValue::from_str(host)? })
    }

    /// Sends a GET for `path` with `headers`, each on a line of its own.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.send("GET", path, headers).await
    }

    /// The same with another method.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut map = HeaderMap::new();
        if !headers.iter().any(|(name, _)| *name == "host") {
            map.insert("host", self.host.clone());
        }
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
        }
        let method = Method::from_bytes(method.as_bytes())?;
        let url = format!("{}{path}", self.base);
        let response = self.http.request(method, url).headers(map).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.text().await? })
    }

    /// Which deployment answers a caller with this cookie, whatever it is called elsewhere.
    ///
    /// # Errors
    /// When there is no answer, or none of the shop.
    pub async fn deployment_by(&self, id: &str) -> Result<String> {
        Ok(self.get("/", &[("cookie", &format!("serin={id}"))]).await?.shop()?.deployment)
    }

    /// Which deployment a caller with this cookie reaches.
    ///
    /// # Errors
    /// When there is no answer, or none of the shop.
    pub async fn deployment_of(&self, id: &str) -> Result<String> {
        let answer = self.get("/", &[("cookie", &format!("serin={id}"))]).await?;
        let shop = answer.shop()?;
        anyhow::ensure!(answer.header("x-served-by") == Some(&shop.deployment), "{answer:?}");
        Ok(shop.deployment)
    }
}

impl Answer {
    /// What the shop itself says.
    ///
    /// # Errors
    /// When the answer is not the shop's.
    pub fn shop(&self) -> Result<Shop> {
        serde_json::from_str(&self.body).with_context(|| format!("{} {}", self.status, self.body))
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
