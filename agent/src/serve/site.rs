/*!
The pages over HTTP: of Releases that come from an agent's board, from a cluster or from a demo. Nothing that is asked for here
changes anything.
*/
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use futures::stream::{self, Stream};
use jiff::Timestamp;
use kube::Client;
use maud::Markup;
use tokio::time::{Instant, sleep_until};

use super::access::{Refused, may_read, readable};
use crate::errors::chain;
use crate::page::{self, Controls, Listing, Shell};
use crate::view::View;
use crate::view::board::{Board, Shown};

/// How often a page that is looked at is made anew.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is said that there is nothing new.
const BEAT: Duration = Duration::from_secs(4);

/// How long somebody may go on looking before their right to is asked for again.
const SESSION: Duration = Duration::from_mins(5);

/// Of all that a page could fetch and run, only what is served beside it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Where pages get Releases from.
pub trait Releases: Clone + Send + Sync + 'static {
    /// All there are, as their status has them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn all(&self) -> impl Future<Output = anyhow::Result<Vec<View>>> + Send;

    /// One of them; none if there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn of(&self, namespace: &str, name: &str) -> impl Future<Output = anyhow::Result<Option<Shown>>> + Send;
}

impl Releases for Arc<Board> {
    async fn all(&self) -> anyhow::Result<Vec<View>> {
        Ok(Board::all(self))
    }

    async fn of(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Shown>> {
        Ok(Board::of(self, &format!("{namespace}/{name}")))
    }
}

/// Who may look.
#[derive(Clone)]
pub enum Access {
    /// Whoever reaches the port: others keep the way to it.
    Anyone,
    /// Whoever may read the Release itself, by the word of this client's API server on their bearer token.
    Viewers(Client),
}

/// Who may look at the pages of an agent in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAccess {
    /// Whoever reaches the port.
    Anyone,
    /// Whoever may read the Releases, by the API server's word on their bearer token.
    Viewers,
}

#[derive(Clone)]
struct Site<R> {
    releases: R,
    access: Access,
    controls: Option<Controls>,
}

/// What somebody looks at.
#[derive(Clone)]
enum Sight {
    List(Listing),
    Release { namespace: String, name: String },
}

/// Why somebody sees nothing.
enum Unseen {
    Refused(Refused),
    Missing,
    Failed(String),
}

/// The pages of `releases` below `prefix`, for those who have `access`. With `controls` they have buttons, whose forms somebody
/// else takes.
pub fn site<R: Releases>(prefix: &str, releases: R, access: Access, controls: Option<Controls>) -> Router {
    let at = |path: &str| format!("{prefix}/{path}");
    let of_type = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    let router = Router::new()
        .route(&at(""), get(list::<R>))
        .route(&at("-/events"), get(list_events::<R>))
        .route(&at("{namespace}/{name}"), get(release::<R>))
        .route(&at("{namespace}/{name}/events"), get(release_events::<R>))
        .with_state(Site { releases, access, controls })
        .route(&at("-/page.css"), of_type("text/css; charset=utf-8", page::STYLE))
        .route(&at("-/page.js"), of_type("text/javascript; charset=utf-8", page::SCRIPT))
        .route(&at("-/icon.svg"), of_type("image/svg+xml", page::ICON));
    let router = if prefix.is_empty() {
        router
    } else {
        // Relative, too: there may be a path before it that only a proxy knows.
        let list = format!("{}/", prefix.rsplit('/').next().unwrap_or_default());
        router.route(prefix, get(move || async move { Redirect::permanent(&list) }))
    };
    router.layer(map_response(guarded))
}

/// Forbids a page all that it does not need, and everybody to keep it.
pub async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn list<R: Releases>(
    State(site): State<Site<R>>,
    Query(listing): Query<Listing>,
    headers: HeaderMap,
) -> Response {
    let live = format!("-/events{}", listing.query());
    let shell = Shell { title: "Releases – Serin", root: "", trail: &[], live: Some(&live) };
    answer(&shell, site.see(&Sight::List(listing), &headers).await)
}

async fn release<R: Releases>(
    State(site): State<Site<R>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let (title, live) = (format!("{name} – Serin"), format!("{name}/events"));
    let trail = [(namespace.as_str(), None), (name.as_str(), None)];
    let shell = Shell { title: &title, root: "../", trail: &trail, live: Some(&live) };
    let sight = Sight::Release { namespace: namespace.clone(), name: name.clone() };
    match site.see(&sight, &headers).await {
        Err(Unseen::Missing) => {
            let page = page::document(&shell, &missing(&namespace, &name));
            (StatusCode::NOT_FOUND, Html(page)).into_response()
        }
        seen => answer(&shell, seen),
    }
}

fn answer(shell: &Shell<'_>, seen: Result<Markup, Unseen>) -> Response {
    match seen {
        Ok(main) => Html(page::document(shell, &main)).into_response(),
        Err(unseen) => unseen.into_response(),
    }
}

fn missing(namespace: &str, name: &str) -> Markup {
    page::missing(namespace, name, "Is it spelled right? It may have been deleted.")
}

impl IntoResponse for Unseen {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refused) => refused.into_response(),
            Self::Missing => StatusCode::NOT_FOUND.into_response(),
            Self::Failed(why) => (StatusCode::BAD_GATEWAY, format!("{why}\n")).into_response(),
        }
    }
}

async fn list_events<R: Releases>(
    State(site): State<Site<R>>,
    Query(listing): Query<Listing>,
    headers: HeaderMap,
) -> Response {
    site.follow(Sight::List(listing), headers).await
}

async fn release_events<R: Releases>(
    State(site): State<Site<R>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    site.follow(Sight::Release { namespace, name }, headers).await
}

/// A page that somebody looks at.
struct Session<R> {
    site: Site<R>,
    sight: Sight,
    may_see: BTreeSet<String>,
    next: Instant,
    ends: Instant,
    /// What was sent last, and when.
    sent: Option<u64>,
    sent_at: Instant,
}

impl<R: Releases> Site<R> {
    /// What somebody looks at, if they may.
    async fn see(&self, sight: &Sight, headers: &HeaderMap) -> Result<Markup, Unseen> {
        let may_see = self.may_see(sight, headers).await?;
        self.draw(sight, &may_see).await
    }

    /// The namespaces of which somebody may see what they look at.
    async fn may_see(&self, sight: &Sight, headers: &HeaderMap) -> Result<BTreeSet<String>, Unseen> {
        match (sight, &self.access) {
            (Sight::Release { namespace, name }, access) => {
                if let Access::Viewers(client) = access {
                    may_read(client, headers, namespace, name).await.map_err(Unseen::Refused)?;
                }
                Ok(BTreeSet::from([namespace.clone()]))
            }
            (Sight::List(_), access) => {
                let views = self.releases.all().await.map_err(|error| failed(&error))?;
                let namespaces = views.into_iter().map(|view| view.namespace).collect();
                match access {
                    Access::Anyone => Ok(namespaces),
                    Access::Viewers(client) => {
                        readable(client, headers, namespaces).await.map_err(Unseen::Refused)
                    }
                }
            }
        }
    }

    async fn draw(&self, sight: &Sight, may_see: &BTreeSet<String>) -> Result<Markup, Unseen> {
        match sight {
            Sight::List(listing) => {
                let mut views = self.releases.all().await.map_err(|error| failed(&error))?;
                views.retain(|view| {
                    matches!(self.access, Access::Anyone) || may_see.contains(&view.namespace)
                });
                Ok(page::list(&views, listing, Timestamp::now()))
            }
            Sight::Release { namespace, name } => {
                let shown = self.releases.of(namespace, name).await.map_err(|error| failed(&error))?;
                let shown = shown.ok_or(Unseen::Missing)?;
                Ok(page::release(&shown, self.controls.as_ref(), Timestamp::now()))
            }
        }
    }

    /// The parts of a page as they change.
    async fn follow(self, sight: Sight, headers: HeaderMap) -> Response {
        let may_see = match self.may_see(&sight, &headers).await {
            Ok(may_see) => may_see,
            Err(unseen) => return unseen.into_response(),
        };
        let now = Instant::now();
        let session =
            Session { site: self, sight, may_see, next: now, ends: now + SESSION, sent: None, sent_at: now };
        Sse::new(session.events()).into_response()
    }
}

impl<R: Releases> Session<R> {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, async |mut session| {
            let event = session.event().await?;
            Some((Ok(event), session))
        })
    }

    /// What there is to say next; none when the session is over: whoever still looks begins another.
    async fn event(&mut self) -> Option<Event> {
        loop {
            sleep_until(self.next).await;
            let now = Instant::now();
            if now >= self.ends {
                return None;
            }
            self.next = now + EVERY;
            let drawn = match (self.site.draw(&self.sight, &self.may_see).await, &self.sight) {
                (Err(Unseen::Missing), Sight::Release { namespace, name }) => Ok(missing(namespace, name)),
                (drawn, _) => drawn,
            };
            match drawn {
                Ok(main) => {
                    let (text, mut hash) = (main.into_string(), DefaultHasher::new());
                    text.hash(&mut hash);
                    let hash = Some(hash.finish());
                    if hash != self.sent {
                        (self.sent, self.sent_at) = (hash, now);
                        return Some(Event::default().event("parts").retry(EVERY).data(text));
                    }
                    if now >= self.sent_at + BEAT {
                        self.sent_at = now;
                        return Some(Event::default().event("beat").data(""));
                    }
                }
                Err(Unseen::Failed(why)) => {
                    self.next = now + BEAT;
                    return Some(Event::default().event("trouble").data(why));
                }
                Err(Unseen::Missing | Unseen::Refused(_)) => return None,
            }
        }
    }
}

fn failed(error: &anyhow::Error) -> Unseen {
    Unseen::Failed(chain(error.as_ref()))
}
