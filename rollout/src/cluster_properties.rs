/*!
What holds whatever happens in a cluster: pods come and go, images change, people suspend and scale, and nobody is
sent to a version that has no pods for them.
*/
use jiff::SignedDuration;
use proptest::prelude::*;
use serin_policy::Weight;

use super::properties::{
    Before, PROXIES, are_taken_back, check_closed, check_mirrored, check_revision, check_rise, requests,
    runner,
};
use super::world::{Crash, Does, Model, World};
use super::{
    Command, CommandKind, Contested, Counts, InForce, Phase, Plan, Replicas, Status, Wanted, Workloads,
};
use serin_release::delivery::PromotionMode;

/// The strategies there are, with the ways in which a version becomes stable.
fn strategies() -> Vec<String> {
    let steps = "[{setWeight: 10}, {setWeight: 40, pause: {duration: 3s}}, {setWeight: 70, pause: {}}]";
    let canary = format!("canary: {{steps: {steps}, ");
    let gates = "blueGreen: {mirror: {duration: 2s}, cutover: Manual, keep: 3s, cleanup: Manual, ".to_owned();
    let split = "blueGreen: {mirror: {duration: 1s}, preSplit: [{setWeight: 10}], keep: 4s, ".to_owned();
    let of = |strategy: &String| {
        let modes = ["Copy", "Swap", "Wait"];
        modes.map(|mode| format!("{strategy}promotion: {{mode: {mode}}}, scaleDownDelay: 2s}}"))
    };
    [canary, gates, split].iter().flat_map(of).collect()
}

const RELEASE: &str = r"
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  stable: {targetRef: {kind: Deployment, name: shop}}
  canary: {targetRef: {kind: Deployment, name: shop-canary}}
  strategy:
    STRATEGY
  analysis: {minRequests: 20, baseline: 0s, warmUp: 0s, bake: 2s}
";

/// Something that happens before a tick.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    Command(CommandKind),
    Proxy(usize, Does),
    Crash(Crash),
    LoseStatus,
    LoseState,
    LoseFile,
    EditFile { weight: u32, closed: bool },
    Image { stable: bool, image: u32 },
    Ready { stable: bool, pods: u32 },
    Well { stable: bool },
    Scaled { stable: bool, pods: u32 },
    Late,
    CanaryGone,
    Suspend(bool),
    Obstacle(bool),
    Contested(bool),
}

fn events() -> impl Strategy<Value = Vec<(Event, Counts)>> {
    use CommandKind::{Abort, Pause, Promote, Resume, Retry};
    let does = prop_oneof![4 => Just(Does::Follow), 1 => Just(Does::FallSilent), 1 => Just(Does::Lag)];
    let kinds = vec![Pause, Resume, Resume, Resume, Promote, Abort, Retry, Retry];
    let event = prop_oneof![
        24 => Just(Event::Nothing),
        8 => prop::sample::select(kinds).prop_map(Event::Command),
        4 => (0..PROXIES.len(), does).prop_map(|(proxy, does)| Event::Proxy(proxy, does)),
        3 => prop_oneof![Just(Crash::BeforeWrite), Just(Crash::BeforeSave)].prop_map(Event::Crash),
        1 => Just(Event::LoseStatus),
        1 => Just(Event::LoseState),
        1 => Just(Event::LoseFile),
        1 => (0..=100_u32, any::<bool>()).prop_map(|(weight, closed)| Event::EditFile { weight, closed }),
        3 => (prop::bool::weighted(0.2), 0..4_u32).prop_map(|(stable, image)| Event::Image { stable, image }),
        3 => (any::<bool>(), 0..3_u32).prop_map(|(stable, pods)| Event::Ready { stable, pods }),
        3 => any::<bool>().prop_map(|stable| Event::Well { stable }),
        2 => (any::<bool>(), 0..6_u32).prop_map(|(stable, pods)| Event::Scaled { stable, pods }),
        1 => Just(Event::Late),
        1 => Just(Event::CanaryGone),
        2 => any::<bool>().prop_map(Event::Suspend),
        2 => any::<bool>().prop_map(Event::Obstacle),
        2 => any::<bool>().prop_map(Event::Contested),
    ];
    let traffic = || prop_oneof![16 => Just(requests(20, 0)), 1 => Just(requests(20, 5))];
    let at_stable = prop_oneof![8 => traffic(), 1 => Just(requests(2, 2)), 1 => Just(requests(0, 0))];
    let traffic = (at_stable, traffic()).prop_map(|(stable, canary)| Counts { stable, canary });
    prop::collection::vec((event, traffic), 1..80)
}

#[test]
fn nobody_is_sent_where_there_are_no_pods() {
    let mut runner = runner(80);
    let strategies = prop::sample::select(strategies());
    let property = |(strategy, events): (String, Vec<(Event, Counts)>)| {
        let mut world = World::new(&RELEASE.replace("STRATEGY", &strategy));
        for name in PROXIES {
            world.proxies.insert(name.to_owned(), Model::default());
        }
        let mut wanted = None;
        for (event, counts) in events {
            happen(&mut world, &mut wanted, &event, counts);
        }
        settles_in_the_end(&mut world, &mut wanted);
        Ok(())
    };
    if let Err(error) = runner.run(&(strategies, events()), property) {
        panic!("{error}");
    }
}

fn happen(world: &mut World, wanted: &mut Option<Wanted>, event: &Event, counts: Counts) {
    let (mut commands, mut crash) = (Vec::new(), Crash::None);
    let cluster = world.cluster.as_mut().unwrap();
    match event {
        Event::Nothing => {}
        Event::Command(kind) => commands.push(*kind),
        Event::Proxy(proxy, does) => world.proxies.get_mut(PROXIES[*proxy]).unwrap().does = *does,
        Event::Crash(at) => crash = *at,
        Event::LoseStatus => {
            world.lose_last_status();
            *wanted = None;
        }
        Event::LoseState => {
            world.status = Status::default();
            *wanted = None;
        }
        Event::LoseFile => world.file = InForce::Nothing,
        Event::EditFile { weight: to, closed: close } => {
            if let InForce::Policy { weight, closed, .. } = &mut world.file {
                *weight = Weight::from_ppm(to * 10_000).unwrap();
                *closed = *close;
            }
        }
        Event::Image { stable, image } => cluster.side(*stable).set_image(&format!("v{image}")),
        Event::Ready { stable, pods } => cluster.side(*stable).get_ready(*pods),
        Event::Well { stable } => cluster.side(*stable).recover(),
        Event::Scaled { stable, pods } => cluster.side(*stable).scale_now(*pods),
        Event::Late => cluster.canary.stuck = Some("timed out progressing".to_owned()),
        Event::CanaryGone => cluster.canary.gone = true,
        Event::Suspend(suspended) => cluster.object.spec.suspend = *suspended,
        Event::Obstacle(there) => {
            cluster.obstacles = there.then(|| "no such Gateway".to_owned()).into_iter().collect();
        }
        Event::Contested(is_contested) => {
            let contested = || Contested { object: "the policy".to_owned(), by: None };
            cluster.contested = is_contested.then(contested).into_iter().collect();
            cluster.policy_waits = *is_contested;
        }
    }
    tick(world, wanted, &commands, counts, crash);
}

fn tick(
    world: &mut World,
    wanted: &mut Option<Wanted>,
    commands: &[CommandKind],
    counts: Counts,
    crash: Crash,
) {
    let before = Before::of(world);
    let workloads = world.cluster.as_ref().unwrap().observe(&world.status).workloads;
    let list = commands.iter().map(|&kind| Command { kind, by: "ann".to_owned() }).collect();
    let planned = world.tick(SignedDuration::from_secs(1), counts, list, crash);
    check_rise(world, &before, &planned, commands);
    check_mirrored(world, &before, &planned, commands);
    check_closed(world, &before, &planned, commands);
    check_revision(&before, &planned);
    check_capacity(world, &before, &planned, &workloads);
    check_way_back(&before, &planned, &workloads);
    check_holds(world, &before, &planned);
    check_few(&before, &planned, counts);
    check_wanted(&before, &planned, *wanted);
    if crash != Crash::BeforeSave {
        *wanted = planned.wanted;
    }
}

/// The weight rises only if the canary has the pods for it, and in a blue-green release those for everybody.
fn check_capacity(world: &World, before: &Before, planned: &Plan, workloads: &Workloads) {
    let Some(push) = planned.push.filter(|push| push.weight > before.file.share_of(world.release.run()))
    else {
        return;
    };
    if are_taken_back(before, planned) {
        return;
    }
    let all = planned.status.pods.stable_floor.max(workloads.stable.desired);
    let share = if world.release.blue_green.is_some() { Weight::FULL } else { push.weight };
    let need = (f64::from(all) * f64::from(share.ppm()) / 1e6).ceil();
    let canary = &workloads.canary;
    assert!(canary.rolled_out && f64::from(canary.ready) >= need, "{need} pods, {workloads:?}: {planned:?}");
}

/// Nobody is sent back to a stable that has no pods.
fn check_way_back(before: &Before, planned: &Plan, workloads: &Workloads) {
    if let Some(push) = planned.push
        && push.weight == Weight::ZERO
        && before.file.share() > Weight::ZERO
    {
        assert!(workloads.stable.ready > 0, "{planned:?}");
    }
}

/// What was not decided yet is not decided while something stands in the way, nor by a person.
fn check_holds(world: &World, before: &Before, planned: &Plan) {
    let cluster = world.cluster.as_ref().unwrap();
    let is_held =
        cluster.object.spec.suspend || !cluster.obstacles.is_empty() || !cluster.contested.is_empty();
    if is_held && planned.status.run == before.status.run && !are_taken_back(before, planned) {
        assert!(planned.status.weight() <= before.status.weight(), "{planned:?}");
    }
}

/// Nobody follows those who went back to stable first and are not served.
fn check_few(before: &Before, planned: &Plan, counts: Counts) {
    if let (Phase::HandingOver(state), Phase::CuttingBack { .. }) =
        (&before.status.phase, &planned.status.phase)
        && let Some(probe) = &state.probe
    {
        let mut stable = probe.counts.stable;
        stable.add(counts.stable);
        assert!(stable.requests == 0 || stable.errors * 2 < stable.requests, "{stable:?}: {planned:?}");
    }
}

/// The canary keeps its pods while anybody may be sent to it, and stable until everybody is back.
fn check_wanted(before: &Before, planned: &Plan, wanted: Option<Wanted>) {
    let (now, earlier) = (planned.wanted.unwrap_or_default(), wanted.unwrap_or_default());
    if now.canary == Some(Replicas::Zero) {
        assert_eq!(planned.push, None);
        assert_eq!(planned.status.weight(), Weight::ZERO);
        assert!(before.all_run(planned.status.revision), "{planned:?}");
    }
    let everybody_may_be_back = match &planned.status.phase {
        Phase::Waiting => before.file.share() == Weight::ZERO,
        Phase::Settled | Phase::Promoted => true,
        Phase::RolledBack { canary, .. } | Phase::Aborted { canary, .. } => !canary.is_in_use(),
        _ => false,
    };
    if is_quiet(&planned.status.phase) && !is_quiet(&before.status.phase) {
        assert!(before.all_run(planned.status.revision), "{planned:?}");
    }
    match (now.stable_at_least, earlier.stable_at_least) {
        (Some(now), Some(earlier)) => assert!(now >= earlier, "{planned:?}"),
        (now, _) => assert!(everybody_may_be_back || now >= Some(1), "{planned:?}"),
    }
}

/// Whether every proxy is said to have reported that nobody gets the canary.
const fn is_quiet(phase: &Phase) -> bool {
    match phase {
        Phase::Preparing { reported } => *reported,
        Phase::CuttingBack { canary } | Phase::RolledBack { canary, .. } | Phase::Aborted { canary, .. } => {
            !canary.is_in_use()
        }
        _ => false,
    }
}

/// From wherever it is, a good release gets to its end, given a person who says so.
fn settles_in_the_end(world: &mut World, wanted: &mut Option<Wanted>) {
    for proxy in world.proxies.values_mut() {
        proxy.does = Does::Follow;
    }
    let cluster = world.cluster.as_mut().unwrap();
    cluster.obstacles.clear();
    cluster.contested.clear();
    cluster.policy_waits = false;
    cluster.object.spec.suspend = false;
    cluster.stable.recover();
    cluster.canary.recover();
    if cluster.stable.desired == 0 {
        cluster.stable.scale_now(3);
    }
    if cluster.canary.gone {
        cluster.canary.set_image("v9");
    }
    for _ in 0..90 {
        let cluster = world.cluster.as_mut().unwrap();
        let waits =
            cluster.promotion() == PromotionMode::Wait && matches!(world.status.phase, Phase::HandingOver(_));
        let command = match world.status.phase {
            Phase::RolledBack { .. } | Phase::Aborted { .. } => {
                if cluster.stable.image == cluster.canary.image {
                    cluster.canary.set_image("v10");
                }
                CommandKind::Retry
            }
            _ => CommandKind::Resume,
        };
        if waits {
            cluster.stable.set_image(&cluster.canary.image.clone());
        }
        let counts = Counts { stable: requests(20, 0), canary: requests(20, 0) };
        tick(world, wanted, &[command], counts, Crash::None);
    }
    assert_eq!(world.status.phase, Phase::Settled, "{:?}", world.status);
}
