/*!
Serin in a real mesh: Kubernetes' API server and controllers, istiod, and stock Envoys around Istio's agent.

The mesh is brought up once, and tests run side by side in namespaces of their own. It wants namespaces of the kernel
before there is a thread, so this is not the usual test harness, but one that takes the same arguments.
*/
mod pods;
mod serving;

use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use serin_tests::mesh::{Mesh, inside};
use tokio::runtime::{Builder, Runtime};

/// The seed of everything that is drawn here; `SERIN_SEED` gives another one.
static SEED: LazyLock<u64> = LazyLock::new(|| {
    let seed = std::env::var("SERIN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    eprintln!("SERIN_SEED={seed}");
    seed
});

type Test = fn(&'static Mesh) -> LocalBoxFuture<'static, Result<()>>;

/// The tests that share the mesh.
const SHARED: [(&str, Test); 5] = [
    ("pods::bad_ones_say_what_is_wrong_with_them", |mesh| Box::pin(pods::bad_ones_say_what_is_wrong(mesh))),
    ("pods::manners_change_while_they_run", |mesh| Box::pin(pods::manners_change_while_they_run(mesh))),
    ("pods::an_account_may_do_what_it_was_allowed", |mesh| Box::pin(pods::accounts(mesh))),
    ("serving::a_gateway_serves_what_is_deployed", |mesh| Box::pin(serving::a_gateway_serves(mesh))),
    ("serving::users_are_assigned_by_the_hash", |mesh| Box::pin(serving::users_are_assigned(mesh))),
];

/// Where they run.
struct Stage {
    mesh: Mesh,
    runtime: Runtime,
}

static STAGE: OnceLock<Stage> = OnceLock::new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    let trials: Vec<Trial> = SHARED.iter().map(|&(name, test)| trial(name, test)).collect();
    let any = trials.iter().any(|trial| !arguments.is_filtered_out(trial));
    if any && !arguments.list {
        let began = Instant::now();
        let inside = inside::enter()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mesh = runtime.block_on(Mesh::up(inside)).context("the mesh does not come up")?;
        eprintln!("the mesh is up after {:.1} s", began.elapsed().as_secs_f64());
        drop(STAGE.set(Stage { mesh, runtime }));
    }
    // They wait for others most of the time.
    arguments.test_threads.get_or_insert(4);
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn trial(name: &'static str, test: Test) -> Trial {
    Trial::test(name, move || {
        let Stage { mesh, runtime } = STAGE.get().expect("no test runs without a mesh");
        let began = Instant::now();
        let outcome = runtime.block_on(async {
            let _shared = mesh.shared().await;
            test(mesh).await
        });
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        outcome.map_err(|error| format!("{error:?}").into())
    })
}
