/*!
What is compared: ways to send a tenth of the users to the canary, from what Envoy can do by itself to all that
Serin does.
*/
use std::borrow::Cow;

use anyhow::{Result, bail, ensure};
use serin_policy::cookie::CookieSpec;
use serin_policy::document::{Caches, CountsSpec, VERSION_HEADER, VersionSpec};
use serin_policy::marks::MarkSpec;
use serin_policy::matching::{Match, OverrideSpec};
use serin_policy::{Arm, Id, Point, PolicySpec, Source, Weight, cookie};
use serin_release::mirror::MARK;

use crate::client::{Answer, header};
use crate::module;
use crate::requests::{Caller, HOST, Request};

/// The cookie with the id.
pub(crate) const COOKIE: &str = "serin";

const SALT: &str = "shop/shop/1";
const RESPONSE_HEADER: &str = "x-served-by";
const BAGGAGE_MEMBER: &str = "serin";

/// The canary's share; also in `assign.lua`.
const PERCENT: u32 = 10;

const OVERRIDE_HEADER: &str = "x-canary";
const TOKEN: &str = "open-sesame";
const TOKEN_SHA256: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";

/// One way, and who is served by it.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) way: Way,
    pub(crate) caller: Caller,
}

/// How the version is chosen.
#[derive(Debug)]
pub(crate) enum Way {
    /// By Envoy's weighted clusters: nothing sticks.
    Weights,
    /// By a header that is there already.
    Routes,
    /// Likewise, and a module looks on, without a policy.
    Idle(Cow<'static, [u8]>),
    /// By Serin's module under a policy.
    Serin(Cow<'static, [u8]>, Box<PolicySpec>),
    /// By `assign.lua`.
    Lua,
}

/// All variants; the first is what the others are compared with. `others` are other builds of the module.
pub(crate) fn all(others: Vec<(String, Vec<u8>)>) -> Result<Vec<Variant>> {
    use Caller::{Marked, New, Returning, Tester};
    let variant = |name: &str, caller, way| Variant { name: name.to_owned(), way, caller };
    let serin = |name: &str, caller, policy| variant(name, caller, serin_way(serin_agent::MODULE, policy));
    let mut all = vec![
        variant("native weighted clusters", Returning, Way::Weights),
        variant("the same again, in a second Envoy", Returning, Way::Weights),
        variant("header routes, no filter", Marked, Way::Routes),
        variant("wasm that is never called", Marked, Way::Idle(module::without_callbacks()?.into())),
        variant("wasm no-op: Serin without a policy", Marked, Way::Idle(serin_agent::MODULE.into())),
        serin("Serin, returning user", Returning, policy()),
        serin("Serin, returning user, id sent on in baggage", Returning, with_baggage(policy())),
        serin("Serin, new user", New, policy()),
        serin("Serin, returning user, all counts", Returning, with_counts(policy())),
        serin("Serin, new user, all counts", New, with_counts(policy())),
        serin(
            "Serin, returning user, all counts, a tenth copied",
            Returning,
            with_copies(with_counts(policy())),
        ),
        serin("Serin, tester with a token", Tester, with_override(policy())),
        variant("Lua, returning user", Returning, Way::Lua),
        variant("Lua, new user", New, Way::Lua),
    ];
    for (name, module) in others {
        let other = |what, caller, policy| {
            variant(&format!("{name}, {what}"), caller, serin_way(module.clone(), policy))
        };
        all.extend([
            other("returning user", Returning, policy()),
            other("new user", New, policy()),
            other("returning user, all counts", Returning, with_counts(policy())),
            other("new user, all counts", New, with_counts(policy())),
        ]);
    }
    Ok(all)
}

fn serin_way(module: impl Into<Cow<'static, [u8]>>, policy: PolicySpec) -> Way {
    Way::Serin(module.into(), Box::new(policy))
}

/// The plainest policy that keeps users where they are and shows them where that is.
pub(crate) fn policy() -> PolicySpec {
    let version = |arm: Arm, weight| VersionSpec { name: arm.as_str().to_owned(), weight, closed: false };
    PolicySpec {
        name: "shop/shop".to_owned(),
        revision: 1,
        critical: Vec::new(),
        hosts: vec![HOST.to_owned()],
        path_prefix: "/".to_owned(),
        versions: vec![version(Arm::Stable, None), version(Arm::Canary, Some(percent(PERCENT)))],
        closed: false,
        promoted: false,
        salt: SALT.to_owned(),
        run: None,
        steps: [1, PERCENT, 50].map(percent).to_vec(),
        identity: vec![Source::Cookie(COOKIE.to_owned())],
        cookie: Some(CookieSpec {
            name: COOKIE.to_owned(),
            max_age_seconds: 7 * 24 * 60 * 60,
            path: "/".to_owned(),
            domain: None,
            same_site: cookie::SameSite::Lax,
            http_only: true,
            secure: cookie::Secure::Auto,
            issue: true,
            start: cookie::Start::Navigation,
            on_cacheable: cookie::OnCacheable::Hold,
        }),
        baggage: None,
        preview_hosts: Vec::new(),
        overrides: Vec::new(),
        segments: Vec::new(),
        flags: Vec::new(),
        marks: Vec::new(),
        request_header: VERSION_HEADER.to_owned(),
        response_header: Some(RESPONSE_HEADER.to_owned()),
        access_log: false,
        counts: None,
        fuse: None,
        retries: None,
        links: None,
        caches: Caches::PrivateCanary,
    }
}

fn with_baggage(policy: PolicySpec) -> PolicySpec {
    PolicySpec { baggage: Some(BAGGAGE_MEMBER.to_owned()), ..policy }
}

/// Counts everything there is to count.
pub(crate) fn with_counts(policy: PolicySpec) -> PolicySpec {
    PolicySpec { counts: Some(CountsSpec { objective_ms: 500 }), ..policy }
}

/// The canary gets copies of a share of stable's requests, as it does before it has users.
fn with_copies(policy: PolicySpec) -> PolicySpec {
    let mirror = MarkSpec {
        name: MARK.to_owned(),
        version: Arm::Stable.as_str().to_owned(),
        matches: vec![Match { method: Some("GET".to_owned()), ..Match::default() }],
        weight: percent(PERCENT),
        until_seconds: None,
        apart: false,
    };
    PolicySpec { marks: vec![mirror], ..policy }
}

fn with_override(policy: PolicySpec) -> PolicySpec {
    let token_sha256 = Some(TOKEN_SHA256.to_owned());
    PolicySpec {
        overrides: vec![OverrideSpec { header: OVERRIDE_HEADER.to_owned(), token_sha256 }],
        ..policy
    }
}

/// Percent as a weight.
pub(crate) fn percent(percent: u32) -> Weight {
    Weight::from_ppm(percent * 10_000).unwrap_or(Weight::FULL)
}

/// The version that [`policy`] gives to `id`, by the rule itself.
pub(crate) fn draw(id: &Id) -> Arm {
    if Point::of(SALT, id).is_covered_by(percent(PERCENT)) { Arm::Canary } else { Arm::Stable }
}

/// The header lines of a tester.
pub(crate) fn asking_for_the_canary() -> String {
    format!("{OVERRIDE_HEADER}: {}:{TOKEN}\r\n", Arm::Canary.as_str())
}

/// The header line of a request whose version somebody else has chosen.
pub(crate) fn marked(arm: Arm) -> String {
    format!("{VERSION_HEADER}: {}\r\n", arm.as_str())
}

impl Variant {
    /// Sees to it that an answer is what the variant promises, so that nothing is measured that does not work.
    pub(crate) fn check(&self, request: &Request, answer: &Answer<'_>) -> Result<()> {
        match self.fault(request, answer) {
            None => Ok(()),
            Some(fault) => bail!("{}: {fault} in this answer:\n{}", self.name, answer.text()),
        }
    }

    fn fault(&self, request: &Request, answer: &Answer<'_>) -> Option<&'static str> {
        let Some(reached) = reached(answer).filter(|_| answer.is_ok()) else {
            return Some("no success of a backend");
        };
        if self.way.is_sticky() && request.expected.is_some_and(|expected| expected != reached) {
            return Some("the wrong version");
        }
        if self.way.shows_the_version() && answer.header(RESPONSE_HEADER) != Some(reached.as_str().as_bytes())
        {
            return Some("the response header is not that of the backend");
        }
        let issued = answer.header("set-cookie");
        if issued.is_some() != (self.caller == Caller::New) {
            return Some("a cookie too many or too few");
        }
        // Lua draws by a hash of its own.
        let drawn = issued.filter(|_| self.way.is_sticky()).map(|value| id_in(value).as_ref().map(draw));
        drawn.is_some_and(|drawn| drawn != Some(reached)).then_some("a version that the new id does not get")
    }

    /// Sees to it that the backend was told what it is to be told. `answer` is to a request for an echo.
    pub(crate) fn check_echo(&self, request: &Request, answer: &Answer<'_>) -> Result<()> {
        self.check(request, answer)?;
        if let (true, Some(reached)) = (self.way.shows_the_version(), reached(answer)) {
            let told = header(answer.body, VERSION_HEADER);
            ensure!(told == Some(reached.as_str().as_bytes()), "{}: {}", self.name, answer.text());
        }
        if let (Some(key), Some(id)) = (self.way.baggage(), &request.id) {
            let wanted = format!("{key}={id}");
            let told = header(answer.body, "baggage");
            ensure!(told == Some(wanted.as_bytes()), "{}: {}", self.name, answer.text());
        }
        Ok(())
    }
}

impl Way {
    const fn is_sticky(&self) -> bool {
        !matches!(self, Self::Weights | Self::Lua)
    }

    const fn shows_the_version(&self) -> bool {
        matches!(self, Self::Serin(..) | Self::Lua)
    }

    fn baggage(&self) -> Option<&str> {
        match self {
            Self::Serin(_, policy) => policy.baggage.as_deref(),
            _ => None,
        }
    }

    /// The canary's share in percent, for weighted clusters.
    pub(crate) const fn canary_percent() -> u32 {
        PERCENT
    }
}

/// The version whose backend gave the answer.
pub(crate) fn reached(answer: &Answer<'_>) -> Option<Arm> {
    Arm::BOTH.into_iter().find(|arm| answer.body.starts_with(arm.as_str().as_bytes()))
}

/// The id that a `set-cookie` header gives.
fn id_in(set_cookie: &[u8]) -> Option<Id> {
    cookie::find(set_cookie, COOKIE, |value| Id::try_from(value).ok())
}
