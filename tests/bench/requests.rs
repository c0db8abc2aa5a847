/*!
Requests as browsers send them: a handful of headers, and cookies of other people's before ours.
*/
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::{Arm, Id};

use crate::backend::ECHO;
use crate::variants::{self, COOKIE};

/// The host that requests are for.
pub(crate) const HOST: &str = "shop.example.com";

/// How many different users there are.
const USERS: usize = 100;

/// A request ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// The id in it.
    pub(crate) id: Option<Id>,
    /// The version that has to answer, where only one may.
    pub(crate) expected: Option<Arm>,
}

/// Who sends requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody with our cookie.
    Returning,
    /// Somebody without.
    New,
    /// Somebody with our cookie and the header that asks for the canary.
    Tester,
    /// Somebody with our cookie whose version header stands in the request already.
    Marked,
}

/// Requests of different users of one kind, and one of each that is answered with what arrived.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) usual: Vec<Request>,
    pub(crate) echoed: Vec<Request>,
}

impl Requests {
    /// The same for the same seed, whoever sends them.
    pub(crate) fn of(caller: Caller, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ids: Vec<_> = (0..USERS).map(|_| Id::from_random(rng.random())).collect();
        let all = |path| ids.iter().map(|id| request(path, caller, id)).collect();
        Self { usual: all("/shop/items?page=2"), echoed: all(ECHO) }
    }
}

fn request(path: &str, caller: Caller, id: &Id) -> Request {
    let drawn = variants::draw(id);
    let (ours, more, expected) = match caller {
        Caller::Returning => (Some(id), String::new(), Some(drawn)),
        Caller::New => (None, String::new(), None),
        Caller::Tester => (Some(id), variants::asking_for_the_canary(), Some(Arm::Canary)),
        Caller::Marked => (Some(id), variants::marked(drawn), Some(drawn)),
    };
    let cookie = ours.map(|id| format!("; {COOKIE}={id}")).unwrap_or_default();
    let text = format!(
        "GET {path} HTTP/1.1\r\n\
         host: {HOST}\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
         accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         accept-language: en-GB,en;q=0.9,de;q=0.8\r\n\
         accept-encoding: gzip, deflate, br, zstd\r\n\
         referer: https://{HOST}/shop\r\n\
         sec-fetch-mode: navigate\r\n\
         cookie: _ga=GA1.2.1803729482.1763700000; _gid=GA1.2.927364518.1763700000; consent=analytics.marketing; \
         theme=dark; locale=en-GB; session=9f8e7d6c5b4a39281706f5e4d3c2b1a0f1e2d3c4b5a69788{cookie}\r\n\
         {more}\r\n"
    );
    Request { bytes: text.into_bytes(), id: ours.cloned(), expected }
}
