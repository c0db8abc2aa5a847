/*!
`serin dashboard`: the pages of Releases on one's own machine, with one's own rights, and with buttons for what one may do.

Whoever has the address has these rights, so it has a key in it, which a browser changes for a cookie. Other sites that are open in
the same browser cannot press a button: an order takes the origin of these pages, and a word that stands on them only.
*/
mod guard;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_all};
use maud::Markup;
use serde::Deserialize;
use serin_agent::cluster::following;
use serin_agent::errors::chain;
use serin_agent::page::{self, Controls, Shell};
use serin_agent::serve::site::{self, Releases, site};
use serin_agent::view::View;
use serin_agent::view::board::{Board, Shown};
use serin_release::ReleaseObject;
use serin_release::status::CommandOutcome;
use serin_rollout::CommandKind;
use tokio::net::TcpListener;
use tokio::time::Instant;

use self::guard::Guard;
use super::access::{Access, Cluster, read};
use super::commands::{Order, order};
use super::watch::cause;

/// How long an agent has to say what it makes of an order.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long Deployments and events are good that were read for a page.
const FRESH: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Releases of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The port at 127.0.0.1 [default: one that is free].
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Without buttons.
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn dashboard(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.with_context(|| {
        format!("--port: {}: cannot listen there: leave it out for one that is free", args.port)
    })?;
    let port = listener.local_addr()?.port();
    let (guard, seen) = (Guard::new(port)?, Seen::new(cluster.clone()));
    let controls = (!args.read_only).then(|| Controls { token: guard.token().to_owned() });
    let pages = pages(&seen, &guard, controls);
    let releases = if args.all_namespaces { cluster.all_releases() } else { cluster.releases() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\nuntil Ctrl-C. Whoever has this address has your rights.", guard.address())?;
    out.flush()?;
    drop(out);
    tokio::select! {
        ended = seen.follow(watch_all(releases, watcher::Config::default()).default_backoff()) => ended,
        ended = axum::serve(listener, pages).into_future() => Ok(ended?),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

fn pages(seen: &Seen, guard: &Guard, controls: Option<Controls>) -> Router {
    let orders = controls.clone().map(|controls| {
        Router::new()
            .route("/{namespace}/{name}/{command}", get(confirm).post(command))
            .with_state((seen.clone(), controls))
            .layer(map_response(site::guarded))
    });
    site("", seen.clone(), site::Access::Anyone, controls)
        .merge(orders.unwrap_or_default())
        .layer(from_fn_with_state(guard.clone(), self::guard::guard))
}

/// The Releases, as the API server's watch has them.
#[derive(Clone)]
struct Seen {
    cluster: Cluster,
    board: Arc<Board>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    objects: BTreeMap<String, Arc<ReleaseObject>>,
    /// What was read for a page, and when.
    views: BTreeMap<String, (Instant, Arc<ReleaseObject>, View)>,
    /// Why nothing new comes.
    trouble: Option<String>,
}

impl Seen {
    fn new(cluster: Cluster) -> Self {
        Self { cluster, board: Arc::default(), shared: Arc::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows what changes.
    ///
    /// # Errors
    /// When the Releases could not be listed in the first place.
    async fn follow(
        &self,
        changes: impl futures::Stream<Item = watcher::Result<Event<DynamicObject>>>,
    ) -> anyhow::Result<()> {
        let mut changes = std::pin::pin!(changes);
        let mut listed = BTreeSet::new();
        let mut is_seen = false;
        while let Some(change) = changes.next().await {
            match change {
                Ok(event) => {
                    self.with(|shared| shared.trouble = None);
                    match event {
                        Event::Init => listed.clear(),
                        Event::InitApply(object) => {
                            listed.insert(self.note(object));
                        }
                        Event::Apply(object) => drop(self.note(object)),
                        Event::Delete(object) => self.forget(&full_name(&object)),
                        Event::InitDone => {
                            is_seen = true;
                            let known: Vec<_> = self.with(|shared| shared.objects.keys().cloned().collect());
                            known
                                .iter()
                                .filter(|name| !listed.contains(*name))
                                .for_each(|name| self.forget(name));
                        }
                    }
                }
                Err(error) if is_seen => {
                    let why = format!("The API server does not answer: {}", chain(&cause(error)));
                    self.with(|shared| shared.trouble = Some(why));
                }
                Err(error) => return Err(cause(error)).context("cannot list releases"),
            }
        }
        anyhow::bail!("the watch of Releases has ended")
    }

    fn note(&self, object: DynamicObject) -> String {
        let name = full_name(&object);
        let object = read(object);
        following::note(&self.board, &object, Timestamp::now());
        self.with(|shared| shared.objects.insert(name.clone(), Arc::new(object)));
        name
    }

    fn forget(&self, name: &str) {
        self.board.forget(name);
        self.with(|shared| (shared.objects.remove(name), shared.views.remove(name)));
    }

    /// The view of a Release with its pods and events, as they were not long ago.
    async fn view(&self, name: &str) -> Option<View> {
        let object = self.with(|shared| shared.objects.get(name).cloned())?;
        let known = self.with(|shared| {
            let known = shared.views.get(name)?;
            let is_good = known.0.elapsed() < FRESH && Arc::ptr_eq(&known.1, &object);
            is_good.then(|| known.2.clone())
        });
        if known.is_some() {
            return known;
        }
        let view = self.cluster.view(&object).await;
        let kept = (Instant::now(), object, view.clone());
        self.with(|shared| shared.views.insert(name.to_owned(), kept));
        Some(view)
    }

    fn in_order(&self) -> anyhow::Result<()> {
        self.with(|shared| shared.trouble.clone()).map_or(Ok(()), |trouble| Err(anyhow::anyhow!(trouble)))
    }
}

fn full_name(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

impl Releases for Seen {
    async fn all(&self) -> anyhow::Result<Vec<View>> {
        self.in_order()?;
        self.board.all().await
    }

    async fn of(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Shown>> {
        self.in_order()?;
        let Some(shown) = self.board.of(namespace, name).await? else { return Ok(None) };
        let Some(view) = self.view(&format!("{namespace}/{name}")).await else { return Ok(None) };
        Ok(Some(Shown { view, ..shown }))
    }
}

type Way = Path<(String, String, CommandKind)>;

/// Asks whether somebody means it.
async fn confirm(
    State((seen, controls)): State<(Seen, Controls)>,
    Path((namespace, name, kind)): Way,
) -> Response {
    match seen.view(&format!("{namespace}/{name}")).await {
        Some(view) => answer(&namespace, &name, StatusCode::OK, &page::confirm(kind, &view, &controls)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What a form has.
#[derive(Debug, Deserialize)]
struct Filled {
    token: String,
    #[serde(default)]
    reason: String,
}

/// Gives an order, and shows what came of it.
async fn command(
    State((seen, controls)): State<(Seen, Controls)>,
    Path((namespace, name, kind)): Way,
    Form(Filled { token, reason }): Form<Filled>,
) -> Response {
    if !guard::is_same(&token, &controls.token) {
        return (StatusCode::FORBIDDEN, "this form is none of these pages: open the page anew\n")
            .into_response();
    }
    let cluster = Cluster { client: seen.cluster.client.clone(), namespace: namespace.clone() };
    let reason = Some(reason.trim()).filter(|reason| !reason.is_empty());
    let given = Order { kind, name: &name, by: None, reason };
    let back = format!("../{name}");
    match order(&cluster, &given, PATIENCE).await {
        Ok(answered) if answered.outcome == CommandOutcome::Taken => {
            Redirect::to(&format!("/{namespace}/{name}")).into_response()
        }
        Ok(answered) => {
            let main = page::refused(&format!("{kind}: refused"), &answered.message, &back);
            answer(&namespace, &name, StatusCode::CONFLICT, &main)
        }
        Err(error) => {
            let main = page::refused(&format!("{kind}: not done"), &chain(error.as_ref()), &back);
            answer(&namespace, &name, StatusCode::BAD_GATEWAY, &main)
        }
    }
}

/// A page about an order to a Release.
fn answer(namespace: &str, name: &str, status: StatusCode, main: &Markup) -> Response {
    let (title, back) = (format!("{name} – Serin"), format!("../{name}"));
    let trail = [(namespace, None), (name, Some(back.as_str()))];
    let shell = Shell { title: &title, root: "../../", trail: &trail, live: None };
    (status, Html(page::document(&shell, main))).into_response()
}

#[cfg(test)]
mod tests;
