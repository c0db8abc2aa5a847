/*!
What a release leans on is not there for half a minute.
*/
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use futures::future::{Either, select};
use serin_release::status::ReleasePhase;
use serin_tests::mesh::{HOST, Mesh};
use serin_tests::prometheus::{Options, Prometheus};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Case, RATE, UnderLoad, said};
use crate::fixture::{Fixture, is_at};

/// How long each is away, in requests.
const OUTAGE: usize = 30 * RATE as usize;

pub(crate) async fn the_control_plane_is_away(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "away", 1).await?;
    under_load.release("v2").await?;

    let case = under_load.case("istiod down 30 s at 30%");
    mesh.control_plane.istiod.kill().await?;
    under_load.approve().await?;
    let status = under_load.said("runs another revision").await?;
    away(&case).await?;
    under_load.fixture.check_served(&under_load.traffic, 30).await?;
    mesh.control_plane.istiod.start().await?;
    under_load.check_exposure(60).await?;
    case.end(&said(&status), "users stay at 30%, then go on to 60%", 0)?;

    let case = under_load.case("API server down 30 s at 60%");
    mesh.control_plane.api_server.kill().await?;
    let log = under_load.agent.log().len();
    away(&case).await?;
    let told = under_load.agent.log().split_off(log);
    let told = told.lines().last().context("the agent says nothing of it")?.to_owned();
    mesh.control_plane.api_server.start().await?;
    under_load.fixture.check_served(&under_load.traffic, 60).await?;
    case.end(&format!("(in the log) {told}"), "users stay at 60%", 0)?;

    let case = under_load.case("and the API server back");
    under_load.approve().await?;
    under_load.phase(ReleasePhase::Promoted).await?;
    // A mesh that has much to catch up with may hear of stable's new pod after a few were sent to it.
    case.end(&said(&under_load.fixture.status().await?), "promoted", 30)
        .with_context(|| under_load.agent.log())
}

async fn away(case: &Case<'_>) -> Result<()> {
    for part in 1..=3 {
        case.after(OUTAGE * part / 3).await?;
    }
    Ok(())
}

pub(crate) async fn prometheus_is_away(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "prometheus", 1).await?;
    let proxies: Vec<SocketAddr> = fixture.gateway.pods.iter().map(|(_, ip)| (*ip, 15_090).into()).collect();
    let options = Options::new()?.scraping("proxies", "/stats/prometheus", &proxies);
    let prometheus = Prometheus::start(options).await?;
    let (door, url) = Door::to(prometheus.address()).await?;
    let config = format!("prometheus: {{sources: {{default: {{access: {{address: '{url}'}}}}}}}}");
    let agent = fixture.agent_with_config("one", &config).await?;
    let edit = |yaml: String| yaml.replace("analysis: {", "analysis: {source: Prometheus, ");
    let under_load = UnderLoad::with(fixture, agent, edit).await?;
    under_load.release("v2").await?;

    let case = under_load.case("Prometheus down 30 s at 30%");
    door.close();
    let status = under_load.said("requests cannot be counted").await?;
    under_load.command("resume").await?;
    away(&case).await?;
    ensure!(is_at(&under_load.fixture.status().await?, 30), "it has gone on blindly");
    under_load.fixture.check_served(&under_load.traffic, 30).await?;
    // The approval was noted: nothing else is in the way when it is back.
    door.open();
    under_load.check_exposure(60).await?;
    case.end(&said(&status), "held at 30%, then goes on to 60%", 0)
}

/// A way to a server that can be closed, and opened again at the same address.
struct Door(watch::Sender<bool>);

impl Door {
    async fn to(server: SocketAddr) -> Result<(Self, String)> {
        let listener = TcpListener::bind((HOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut is_open = is_open.clone();
                tokio::spawn(async move {
                    if !*is_open.borrow_and_update() {
                        return;
                    }
                    let relay = async {
                        let mut server = TcpStream::connect(server).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    // Whatever ends it, both connections end with it.
                    match select(Box::pin(relay), Box::pin(is_open.changed())).await {
                        Either::Left(_) | Either::Right(_) => {}
                    }
                });
            }
        });
        Ok((Self(sender), url))
    }

    fn close(&self) {
        self.0.send_replace(false);
    }

    fn open(&self) {
        self.0.send_replace(true);
    }
}
