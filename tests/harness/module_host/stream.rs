/*!
Requests and responses on their way through the proxy, and which of their parts can be reached when.
*/
use std::time::Duration;

use wasmtime::{Result, bail};

/// Header lines, in order, names in lower case as the proxy's codec leaves them.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// The values of every line of `headers` called `name`.
pub fn values<'h>(headers: &'h Headers, name: &str) -> Vec<&'h [u8]> {
    let lines = headers.iter().filter(|(given, _)| given == name.as_bytes());
    lines.map(|(_, value)| value.as_slice()).collect()
}

/// A request and what becomes of it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Pseudo-headers included.
    pub headers: Headers,
    /// `None`: the client left, or nobody answered.
    pub response: Option<Response>,
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// `:status` included.
    pub headers: Headers,
    /// Trailers, if it ends with any.
    pub trailers: Option<Headers>,
    /// What the proxy has to say of its end: the bits of Envoy's `CoreResponseFlag`.
    pub flags: u64,
    /// How long after the request.
    pub took: Duration,
}

/// `:method GET`, … from pairs of text.
pub(super) fn lines(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

impl Request {
    /// `GET path` from `https://authority`, answered with 200 after 5 ms.
    pub fn get(authority: &str, path: &str) -> Self {
        let pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)];
        Self { headers: lines(&pseudo), response: Some(Response::status(200)) }
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// With this response, or none.
    pub fn answered(mut self, response: Option<Response>) -> Self {
        self.response = response;
        self
    }
}

impl Response {
    /// A response of this status after 5 ms.
    pub fn status(status: u16) -> Self {
        let headers = lines(&[(":status", &status.to_string())]);
        Self { headers, trailers: None, flags: 0, took: Duration::from_millis(5) }
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }
}

/// What the proxy is about while it calls the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Configure,
    Request,
    Response,
    Trailers,
    Log,
    /// The request's context is deleted.
    Delete,
}

/// One request in flight.
pub(super) struct Stream {
    pub(super) root: u32,
    pub(super) plugin: String,
    pub(super) request: Headers,
    /// What the module answered by itself.
    pub(super) answer: Option<Headers>,
    pub(super) response: Option<Headers>,
    pub(super) trailers: Option<Headers>,
    pub(super) flags: u64,
}

/// The ABI's numbers for header maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    Request,
    RequestTrailers,
    Response,
    ResponseTrailers,
}

impl TryFrom<u32> for Map {
    type Error = wasmtime::Error;

    fn try_from(number: u32) -> Result<Self> {
        match [Self::Request, Self::RequestTrailers, Self::Response, Self::ResponseTrailers]
            .get(number as usize)
        {
            Some(&map) => Ok(map),
            None => bail!("there is no header map {number}"),
        }
    }
}

impl Stream {
    pub(super) fn new(root: u32, plugin: String, request: Headers) -> Self {
        Self { root, plugin, request, answer: None, response: None, trailers: None, flags: 0 }
    }

    /// The headers of `map`, to read in `phase`; `None` for those that the log finds missing, which Envoy shows
    /// as empty. At any other time a missing map is `BadArgument`, on which the SDK panics.
    pub(super) fn readable(&self, map: Map, phase: Phase) -> Result<Option<&Headers>> {
        match (phase, map) {
            (Phase::Request | Phase::Log, Map::Request) => Ok(Some(&self.request)),
            (Phase::Response | Phase::Log, Map::Response) => Ok(self.response.as_ref()),
            (Phase::Trailers | Phase::Log, Map::ResponseTrailers) => Ok(self.trailers.as_ref()),
            (Phase::Log, Map::RequestTrailers) => Ok(None),
            _ => bail!("{map:?} cannot be read in phase {phase:?}"),
        }
    }

    /// The headers of `map`, to write in `phase`.
    pub(super) fn writable(&mut self, map: Map, phase: Phase) -> Result<&mut Headers> {
        match (phase, map, &mut self.response) {
            (Phase::Request, Map::Request, _) => Ok(&mut self.request),
            (Phase::Response, Map::Response, Some(response)) => Ok(response),
            _ => bail!("{map:?} cannot be written in phase {phase:?}"),
        }
    }

    /// A property of the request, as `a.b.c` is written in Envoy's attributes.
    pub(super) fn property(&self, path: &[&[u8]], phase: Phase) -> Option<Vec<u8>> {
        let joined = |headers: &Headers, name: &[u8]| {
            let all: Vec<_> =
                headers.iter().filter(|(given, _)| given == name).map(|(_, value)| &value[..]).collect();
            (!all.is_empty()).then(|| all.join(&b','))
        };
        match (path, phase) {
            ([b"plugin_root_id"], _) => Some(self.plugin.clone().into_bytes()),
            // Once the request is on its way, its headers are gone until the log.
            ([b"request", b"headers", name], Phase::Request | Phase::Log) => joined(&self.request, name),
            ([b"response", b"headers", name], Phase::Response | Phase::Log) => {
                joined(self.response.as_ref()?, name)
            }
            ([b"response", b"flags"], Phase::Response | Phase::Log | Phase::Delete) => {
                Some(self.flags.to_le_bytes().to_vec())
            }
            // This alone is left where the headers went on to a log that comes later.
            ([b"response", b"code"], Phase::Delete) => {
                let status = values(self.response.as_ref()?, ":status").first().copied()?;
                let code: i64 = std::str::from_utf8(status).ok()?.parse().ok()?;
                Some(code.to_le_bytes().to_vec())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_an_error() {
        let mut stream = Stream::new(1, String::new(), lines(&[("cookie", "a=b")]));
        stream.response = Some(lines(&[(":status", "200")]));
        for (phase, map, read, write) in [
            (Phase::Request, Map::Request, true, true),
            (Phase::Request, Map::Response, false, false),
            (Phase::Response, Map::Request, false, false),
            (Phase::Response, Map::Response, true, true),
            (Phase::Response, Map::ResponseTrailers, false, false),
            (Phase::Log, Map::Request, true, false),
            (Phase::Log, Map::Response, true, false),
            (Phase::Log, Map::ResponseTrailers, true, false),
            (Phase::Trailers, Map::ResponseTrailers, true, false),
            (Phase::Trailers, Map::Response, false, false),
            (Phase::Delete, Map::Response, false, false),
            (Phase::Idle, Map::Request, false, false),
            (Phase::Configure, Map::Request, false, false),
        ] {
            assert_eq!(stream.readable(map, phase).is_ok(), read, "{map:?} read in {phase:?}");
            assert_eq!(stream.writable(map, phase).is_ok(), write, "{map:?} written in {phase:?}");
        }
    }

    #[test]
    fn a_list_is_joined_while_its_headers_are_there() {
        let stream =
            Stream::new(1, String::new(), lines(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]));
        let cookies = [&b"request"[..], b"headers", b"cookie"];
        assert_eq!(stream.property(&cookies, Phase::Request).unwrap(), b"a=b,c=d");
        assert_eq!(stream.property(&cookies, Phase::Response), None);
        assert!(stream.property(&cookies, Phase::Log).is_some());
        assert_eq!(stream.property(&[b"request", b"headers", b"z"], Phase::Request), None);
    }
}
