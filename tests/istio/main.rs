/*!
Serin in a real mesh: Kubernetes' API server and controllers, istiod, and stock Envoys around Istio's agent.

The mesh is brought up once, and tests run side by side in namespaces of their own. It wants namespaces of the kernel
before there is a thread, so this is not the usual test harness, but one that takes the same arguments.
*/
mod leaders;
mod mtls;
mod outages;
mod pods;
mod releases;
mod serving;
mod sidecars;
mod stage;

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
const SHARED: &[(&str, Test)] = &[
    ("leaders::an_agent_is_killed_at_every_phase", |mesh| {
        Box::pin(leaders::an_agent_is_killed_at_every_phase(mesh))
    }),
    ("leaders::a_standby_takes_over", |mesh| Box::pin(leaders::a_standby_takes_over(mesh))),
    ("leaders::a_leader_of_the_past_changes_nothing", |mesh| {
        Box::pin(leaders::a_leader_of_the_past_changes_nothing(mesh))
    }),
    ("releases::a_good_version_is_promoted", |mesh| Box::pin(releases::a_good_version_is_promoted(mesh))),
    ("releases::a_very_bad_version_is_off_the_air_at_once", |mesh| {
        Box::pin(releases::a_very_bad_version_is_off_the_air_at_once(mesh))
    }),
    ("releases::a_bad_version_is_taken_back", |mesh| Box::pin(releases::a_bad_version_is_taken_back(mesh))),
    ("mtls::a_release_goes_through_under_strict_mtls", |mesh| {
        Box::pin(mtls::a_release_goes_through_under_strict_mtls(mesh))
    }),
    ("sidecars::callers_inside_the_mesh_are_released_to", |mesh| Box::pin(sidecars::callers_inside(mesh))),
    ("sidecars::a_user_is_on_one_version_by_every_way", |mesh| Box::pin(sidecars::by_every_way(mesh))),
    ("pods::bad_ones_say_what_is_wrong_with_them", |mesh| Box::pin(pods::bad_ones_say_what_is_wrong(mesh))),
    ("pods::manners_change_while_they_run", |mesh| Box::pin(pods::manners_change_while_they_run(mesh))),
    ("pods::an_account_may_do_what_it_was_allowed", |mesh| Box::pin(pods::accounts(mesh))),
    ("serving::a_gateway_serves_what_is_deployed", |mesh| Box::pin(serving::a_gateway_serves(mesh))),
    ("serving::no_request_fails_when_pods_are_replaced", |mesh| Box::pin(serving::pods_are_replaced(mesh))),
    ("serving::sidecars_assign_users_too", |mesh| Box::pin(serving::sidecars_assign_too(mesh))),
    ("serving::new_visitors_stay_where_they_were_put", |mesh| Box::pin(serving::new_visitors_stay(mesh))),
    ("serving::users_are_assigned_by_the_hash", |mesh| Box::pin(serving::users_are_assigned(mesh))),
];

/// The tests that stop parts of it, one after the other.
const ALONE: &[(&str, Test)] = &[
    ("outages::the_mesh_goes_on_without_istiod", |mesh| Box::pin(outages::without_istiod(mesh))),
    ("outages::the_mesh_goes_on_without_the_api_server", |mesh| Box::pin(outages::without_api_server(mesh))),
];

/// Where they run.
struct Stage {
    mesh: Mesh,
    runtime: Runtime,
}

static STAGE: OnceLock<Stage> = OnceLock::new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    let shared = SHARED.iter().map(|&(name, test)| trial(name, test, false));
    let trials: Vec<Trial> =
        shared.chain(ALONE.iter().map(|&(name, test)| trial(name, test, true))).collect();
    let any = trials.iter().any(|trial| !arguments.is_filtered_out(trial));
    if any && !arguments.list {
        let began = Instant::now();
        let inside = inside::enter()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mesh = runtime.block_on(Mesh::up(inside)).context("the mesh does not come up")?;
        runtime.block_on(mesh.install_serin()).context("Serin cannot be installed")?;
        eprintln!("the mesh is up after {:.1} s", began.elapsed().as_secs_f64());
        drop(STAGE.set(Stage { mesh, runtime }));
    }
    // They wait for others most of the time.
    arguments.test_threads.get_or_insert(4);
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn trial(name: &'static str, test: Test, alone: bool) -> Trial {
    Trial::test(name, move || {
        let Stage { mesh, runtime } = STAGE.get().expect("no test runs without a mesh");
        let (outcome, took) = runtime.block_on(async {
            let _guards =
                if alone { (None, Some(mesh.alone().await)) } else { (Some(mesh.shared().await), None) };
            let began = Instant::now();
            (test(mesh).await, began.elapsed())
        });
        eprintln!("{name}: {:.1} s", took.as_secs_f64());
        outcome.map_err(|error| format!("{error:?}").into())
    })
}
