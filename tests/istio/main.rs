/*!
Serin in a real mesh: Kubernetes' API server and controllers, istiod, and stock Envoys around Istio's agent.

The mesh is brought up once, and tests run side by side in namespaces of their own. It wants namespaces of the kernel
before there is a thread, so this is not the usual test harness, but one that takes the same arguments.
*/
mod adoption;
mod autoscalers;
mod blue_green;
mod board;
mod chain;
mod command_line;
mod dashboard;
mod day_one;
mod failures;
mod faults;
mod fixture;
mod gitops;
mod helm;
mod hooks;
mod images;
mod leaders;
mod messages;
mod mirror;
mod mtls;
mod outages;
mod pipelines;
mod pods;
mod promotions;
mod releases;
mod rules;
mod serving;
mod shards;
mod sidecars;
mod telemetry;
mod templates;
mod tenants;
mod upgrades;
mod ways;
mod windows;
mod written;

use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use serin_tests::mesh::{Mesh, inside};
use serin_tests::tools;
use tokio::runtime::{Builder, Runtime};

/// The seed of everything that is drawn here; `SERIN_SEED` gives another one.
static SEED: LazyLock<u64> = LazyLock::new(|| {
    let seed = std::env::var("SERIN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    eprintln!("SERIN_SEED={seed}");
    seed
});

type Test = fn(&'static Mesh) -> LocalBoxFuture<'static, Result<()>>;

/// Tests by their paths.
macro_rules! tests {
    ($($test:path,)*) => { &[$((stringify!($test), |mesh| Box::pin($test(mesh)))),*] };
}

/// The tests that share the mesh; those that take longest come first.
const SHARED: &[(&str, Test)] = tests![
    leaders::an_agent_is_killed_at_every_phase,
    leaders::a_standby_takes_over,
    leaders::an_agent_leads_before_it_knows_everything,
    leaders::a_leader_of_the_past_changes_nothing,
    upgrades::an_agent_with_another_module_comes_in_mid_run,
    upgrades::an_older_agent_leaves_a_newer_state_alone,
    failures::outages::prometheus_is_away,
    failures::severed::connections_die_without_a_word,
    failures::severed::a_status_write_hangs,
    failures::conflicts::a_foreign_route_comes,
    failures::conflicts::two_releases_want_a_host,
    failures::conflicts::own_routes_are_checked,
    failures::leases::the_agent_dies_and_its_lease_runs_out,
    failures::leases::the_agent_dies_and_the_canary_fails,
    failures::modules::a_proxy_starts_without_the_agent,
    failures::edits::a_release_is_edited,
    failures::edits::another_version_comes,
    failures::edits::a_bad_version_is_taken_back_under_a_wrong_spec,
    failures::deletions::a_release_is_deleted,
    failures::deletions::a_release_is_deleted_blindly,
    failures::supervision::a_bad_version_is_taken_back_under_an_unreadable_spec,
    failures::supervision::an_unreadable_spec_outlives_its_agent,
    failures::supervision::a_gateway_is_narrowed,
    failures::supervision::a_save_fails_with_each_command,
    failures::objects::objects_are_edited_by_hand,
    failures::objects::objects_keep_being_changed,
    failures::owners::stable_is_put_back,
    failures::owners::stable_is_mended_in_mid_run,
    failures::owners::a_configuration_changes_in_mid_run,
    failures::owners::a_configuration_is_released,
    failures::workloads::bad_images_reach_nobody,
    failures::workloads::a_canary_is_lost,
    failures::capacity::pods_are_not_to_be_had,
    failures::clocks::a_leader_had_another_time,
    failures::nodes::a_node_dies,
    failures::workloads::stable_is_scaled_away,
    ways::a_canary_has_a_service_of_its_own,
    board::whoever_may_read_a_release_sees_its_run_from_look_to_look,
    ways::a_segment_has_pods_and_a_way_back,
    adoption::weights_are_taken_over,
    adoption::what_cannot_work_is_not_taken_over,
    pipelines::github::a_version_goes_out_and_the_next_is_taken_back,
    pipelines::gitlab::a_version_goes_out_and_the_next_is_taken_back,
    gitops::a_release_goes_through_while_git_is_applied,
    gitops::a_fight_is_told_and_not_fought,
    blue_green::a_service_is_switched_over_and_back,
    blue_green::an_agent_is_killed_at_every_phase,
    blue_green::a_bad_version_is_switched_back,
    promotions::versions_change_places,
    promotions::roles_outlive_the_status,
    promotions::a_swap_is_suspended,
    promotions::a_pipeline_updates_stable,
    promotions::the_old_version_is_put_back,
    promotions::stable_keeps_what_is_its_own,
    autoscalers::a_floor_is_kept,
    autoscalers::keda_is_understood,
    command_line::a_release_is_driven_by_commands,
    dashboard::a_release_is_driven_from_a_browser,
    hooks::a_release_goes_by_flaggers_load_tester,
    hooks::checks_ask_the_new_version_before_anybody_has_it,
    hooks::hooks_take_a_version_back_or_keep_nobody_from_doing_so,
    windows::a_frozen_release_waits_and_goes_back_all_the_same,
    messages::a_rollback_is_told_once_though_leaders_change,
    day_one::a_service_is_adopted_as_it_is,
    day_one::what_is_converted_is_what_the_api_server_takes,
    releases::a_suspended_release_touches_nothing,
    releases::a_good_version_is_promoted,
    releases::a_very_bad_version_is_off_the_air_at_once,
    releases::a_bad_version_is_taken_back,
    images::the_module_is_pulled_from_a_registry,
    images::a_private_registry_wants_a_secret,
    mtls::a_release_goes_through_under_strict_mtls,
    sidecars::callers_inside,
    sidecars::by_every_way,
    tenants::credentials_stay_with_the_operator,
    tenants::hosts_stay_with_their_namespaces,
    tenants::only_the_filter_leads_to_the_canary,
    tenants::a_wrong_release_keeps_the_agent_from_no_other,
    tenants::commands_are_a_right_of_their_own,
    templates::a_template_counts_from_the_next_look_on,
    rules::the_api_server_and_the_check_agree,
    shards::one_proxy_runs_two_plugins,
    pods::bad_ones_say_what_is_wrong,
    pods::manners_change_while_they_run,
    pods::accounts,
    serving::a_gateway_serves,
    serving::pods_are_replaced,
    serving::sidecars_assign_too,
    serving::new_visitors_stay,
    serving::users_are_assigned,
    faults::a_version_is_not_blamed_for_what_was_injected,
    mirror::a_version_answers_copies_before_it_has_users,
    telemetry::logs_and_spans_have_the_version,
    written::what_people_write_beside_serins_routes_is_kept,
];

/// The tests that stop parts of it, one after the other.
const ALONE: &[(&str, Test)] = tests![
    failures::namespaces::a_namespace_is_deleted,
    tenants::a_namespace_lets_another_have_its_host,
    templates::a_template_is_its_namespaces_to_share,
    failures::outages::the_control_plane_is_away,
    failures::deletions::serin_is_uninstalled,
    helm::a_chart_is_installed_upgraded_rolled_back_and_uninstalled,
    chain::from_an_empty_cluster_to_a_version_that_is_taken_back,
    outages::without_istiod,
    outages::without_api_server,
];

/// Where they run.
struct SharedMesh {
    mesh: Mesh,
    runtime: Runtime,
}

static SHARED_MESH: OnceLock<SharedMesh> = OnceLock::new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    let shared = SHARED.iter().map(|&(name, test)| trial(name, test, false));
    let trials: Vec<Trial> =
        shared.chain(ALONE.iter().map(|&(name, test)| trial(name, test, true))).collect();
    let any = trials.iter().any(|trial| !arguments.is_filtered_out(trial));
    if any && !arguments.list {
        // Once inside, nothing can be fetched any more.
        tools::bring(&[
            tools::MESH,
            tools::PROMETHEUS,
            tools::HELM,
            tools::HEALTH,
            tools::HOOKS,
            tools::PIPELINES,
            tools::PAGES,
        ])?;
        let began = Instant::now();
        let inside = inside::enter()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mesh = runtime.block_on(Mesh::up(inside)).context("the mesh does not come up")?;
        runtime.block_on(mesh.install_serin()).context("Serin cannot be installed")?;
        eprintln!("the mesh is up after {:.1} s", began.elapsed().as_secs_f64());
        drop(SHARED_MESH.set(SharedMesh { mesh, runtime }));
    }
    // They wait for others most of the time.
    arguments.test_threads.get_or_insert(4);
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn trial(name: &'static str, test: Test, alone: bool) -> Trial {
    Trial::test(name, move || {
        let SharedMesh { mesh, runtime } = SHARED_MESH.get().expect("no test runs without a mesh");
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
