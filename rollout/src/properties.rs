/*!
What holds whatever happens: random traffic, silences, commands, crashes, losses and edits, checked after every tick.
*/
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serin_policy::Weight;

use super::world::{Crash, Does, Model, World};
use super::{
    ArmCounts, Command, CommandKind, Counts, HandoverState, InForce, Phase, Plan, ProxyState, Status,
};

const RELEASE: &str = r#"
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  canary: {version: "RUN"}
  strategy:
    canary:
      mirror: {duration: 2s}
      steps: [{setWeight: 1}, {setWeight: 10, pause: {duration: 3s}}, {setWeight: 50, pause: {}}]
  analysis: {minRequests: 20, baseline: 0s, warmUp: 0s, bake: 2s}
  windows: [{name: second-minute, kind: deny, schedule: "1 * * * *", duration: 1m}]
"#;

pub(super) const PROXIES: [&str; 3] = ["a", "b", "c"];

/// Something that happens before a tick.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    Away,
    Command(CommandKind),
    Proxy(usize, Does),
    Crash(Crash),
    LoseStatus,
    LoseState,
    LoseFile,
    SpoilFile,
    EditFile { weight: u32, closed: bool },
    NewRun,
}

fn events() -> impl Strategy<Value = Vec<(Event, ArmCounts)>> {
    use CommandKind::{Abort, OverrideFreeze, Pause, Promote, Resume, Retry};
    let does = prop_oneof![
        4 => Just(Does::Follow),
        1 => Just(Does::FallSilent),
        1 => Just(Does::Bypass),
        1 => Just(Does::Refuse),
        1 => Just(Does::Lag),
    ];
    let event = prop_oneof![
        12 => Just(Event::Nothing),
        1 => Just(Event::Away),
        6 => prop::sample::select(vec![Pause, Resume, Resume, Promote, Abort, Retry, Retry, OverrideFreeze]).prop_map(Event::Command),
        5 => (0..PROXIES.len(), does).prop_map(|(proxy, does)| Event::Proxy(proxy, does)),
        3 => prop_oneof![Just(Crash::BeforeWrite), Just(Crash::BeforeSave)].prop_map(Event::Crash),
        1 => Just(Event::LoseStatus),
        1 => Just(Event::LoseState),
        1 => Just(Event::LoseFile),
        1 => Just(Event::SpoilFile),
        1 => (0..=100_u32, any::<bool>()).prop_map(|(weight, closed)| Event::EditFile { weight, closed }),
        1 => Just(Event::NewRun),
    ];
    let traffic = prop_oneof![
        8 => Just(requests(20, 0)),
        2 => Just(requests(3, 0)),
        1 => Just(requests(20, 5)),
        1 => Just(ArmCounts::default()),
    ];
    prop::collection::vec((event, traffic), 1..80)
}

#[test]
fn the_weight_rises_step_by_step_and_closed_is_closed() {
    let mut runner = runner(200);
    let property = |events: Vec<(Event, ArmCounts)>| {
        let mut world = new_world();
        for (i, (event, canary)) in events.into_iter().enumerate() {
            happen(&mut world, &event, &format!("run-{i}"), canary);
        }
        gets_promoted_in_the_end(&mut world);
        Ok(())
    };
    if let Err(error) = runner.run(&events(), property) {
        panic!("{error}");
    }
}

/// Plays so many cases.
pub(super) fn runner(cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The same at every run, so that a failure is one for everybody; `SERIN_SEED` looks elsewhere.
fn seed() -> u64 {
    let seed =
        std::env::var("SERIN_SEED").map_or(20_261_121, |seed| seed.parse().expect("SERIN_SEED is a number"));
    println!("SERIN_SEED={seed}");
    seed
}

pub(super) fn requests(requests: u64, errors: u64) -> ArmCounts {
    ArmCounts { requests, errors, ..ArmCounts::default() }
}

fn new_world() -> World {
    let mut world = World::new(&yaml("run"));
    for name in PROXIES {
        world.proxies.insert(name.to_owned(), Model::default());
    }
    world
}

fn yaml(run: &str) -> String {
    RELEASE.replace("RUN", run)
}

fn happen(world: &mut World, event: &Event, new_run: &str, canary: ArmCounts) {
    let (mut commands, mut crash) = (Vec::new(), Crash::None);
    match event {
        Event::Nothing => {}
        Event::Away => world.away(SignedDuration::from_mins(16)),
        Event::Command(kind) => commands.push(*kind),
        Event::Proxy(proxy, does) => world.proxies.get_mut(PROXIES[*proxy]).unwrap().does = *does,
        Event::Crash(at) => crash = *at,
        Event::LoseStatus => world.lose_last_status(),
        Event::LoseState => world.status = Status::default(),
        Event::LoseFile => world.file = InForce::Nothing,
        Event::SpoilFile => world.file = InForce::Unreadable { why: "cut off".to_owned() },
        Event::EditFile { weight: to, closed: close } => {
            if let InForce::Policy { weight, closed, .. } = &mut world.file {
                *weight = Weight::from_ppm(to * 10_000).unwrap();
                *closed = *close;
            }
        }
        Event::NewRun => world.reread(&yaml(new_run)),
    }
    tick(world, &commands, canary, crash);
}

fn tick(world: &mut World, commands: &[CommandKind], canary: ArmCounts, crash: Crash) {
    let before = Before::of(world);
    let list = commands.iter().map(|&kind| Command { kind, by: "ann".to_owned() }).collect();
    let counts = Counts { canary, stable: requests(20, 0) };
    let planned = world.tick(SignedDuration::from_secs(1), counts, list, crash);
    check_rise(world, &before, &planned, commands);
    check_mirrored(world, &before, &planned, commands);
    check_freeze(world, &before, &planned);
    check_closed(world, &before, &planned, commands);
    check_revision(&before, &planned);
}

/// The world as the planner saw it.
pub(super) struct Before {
    pub(super) status: Status,
    pub(super) file: InForce,
    /// What each proxy reported; none from one that does not run the filter or does not answer.
    reported: Vec<Option<u64>>,
}

impl Before {
    pub(super) fn of(world: &mut World) -> Self {
        let observation = world.observe(Counts::default(), Vec::new());
        let file = observation.in_force;
        let reported = observation.proxies.into_iter().map(|proxy| match proxy.state {
            ProxyState::Runs { revision, .. } => Some(revision),
            ProxyState::Silent { .. } | ProxyState::Bypassed => None,
        });
        Self { reported: reported.collect(), status: world.status.clone(), file }
    }

    pub(super) fn all_run(&self, wanted: u64) -> bool {
        self.reported.iter().all(|revision| *revision == Some(wanted))
    }
}

/// The weight rises to the next step or to the promotion, and only while every proxy is on the present one.
pub(super) fn check_rise(world: &World, before: &Before, planned: &Plan, commands: &[CommandKind]) {
    let run = world.release.run();
    let Some(push) = planned.push else { return };
    if are_taken_back(before, planned) {
        assert_eq!((push.weight, before.status.run.as_str()), (Weight::FULL, run), "{planned:?}");
        return;
    }
    // What was decided when all was well, and is written again after someone has edited or taken away the file.
    let restored = before.status.run == run && push.weight == before.status.weight();
    let InForce::Policy { run: present_run, revision, weight, .. } = &before.file else {
        assert!(restored || push.weight == Weight::ZERO, "{planned:?}");
        return;
    };
    let present = if present_run == run { *weight } else { Weight::ZERO };
    if push.weight <= present || (restored && *revision >= before.status.revision) {
        return;
    }
    assert!(before.all_run(*revision), "a rise while some proxy is elsewhere: {planned:?}");
    let next = world.release.steps.iter().map(|step| step.weight).find(|step| *step > present);
    let promoted = commands.contains(&CommandKind::Promote) || before.status.weight() == Weight::FULL;
    assert!(
        push.weight == next.unwrap_or(Weight::FULL) || (promoted && push.weight == Weight::FULL),
        "from {present}: {planned:?}"
    );
}

/// Where the Release says so, nobody gets the canary before it has answered copies, but at a person's word.
pub(super) fn check_mirrored(world: &World, before: &Before, planned: &Plan, commands: &[CommandKind]) {
    let run = world.release.run();
    let begins = before.status.run == run
        && before.status.weight() == Weight::ZERO
        && planned.status.weight() > Weight::ZERO;
    if begins && world.release.mirror.is_some() && !commands.contains(&CommandKind::Promote) {
        let answered = planned.status.evidence.mirrored().canary.requests;
        assert!(before.status.mirrors() && answered >= world.release.analysis.min_requests, "{planned:?}");
    }
}

/// In the second minute nobody is moved who was not on the canary before, unless a person has overridden that.
fn check_freeze(world: &World, before: &Before, planned: &Plan) {
    let Some(push) = planned.push else { return };
    let is_frozen =
        (60..120).contains(&world.now.as_second()) && planned.status.freeze_overridden_by.is_none();
    if !is_frozen || are_taken_back(before, planned) {
        return;
    }
    let InForce::Policy { weight, .. } = &before.file else {
        assert!(push.weight <= before.status.weight(), "{planned:?}");
        return;
    };
    assert!(push.weight <= before.status.weight().max(*weight), "{planned:?}");
}

/// Whether those who went back to stable first go to the promoted canary again: no rise, but the end of a try.
pub(super) fn are_taken_back(before: &Before, planned: &Plan) -> bool {
    before.file.share_of(&planned.status.run) == HandoverState::ALL_BUT_PROBE
        && matches!(planned.status.phase, Phase::HandingOver(HandoverState { probe: None, .. }))
}

/// A closed canary of this run is opened by a retry only.
pub(super) fn check_closed(world: &World, before: &Before, planned: &Plan, commands: &[CommandKind]) {
    let InForce::Policy { run, revision, closed: true, .. } = &before.file else { return };
    let retried =
        before.status.run == *run && !before.status.is_closed() && before.status.revision > *revision;
    // In a cluster a run begins closed, and is opened when the canary has its pods.
    let prepared = before.status.run == *run && matches!(before.status.phase, Phase::Preparing { .. });
    if prepared {
        return;
    }
    if run == world.release.run() && !commands.contains(&CommandKind::Retry) && !retried {
        assert!(planned.status.is_closed(), "{planned:?}");
    }
}

/// A revision stands for one policy.
pub(super) fn check_revision(before: &Before, planned: &Plan) {
    assert!(planned.status.revision >= before.status.revision, "{planned:?}");
    if let (Some(push), InForce::Policy { revision, .. }) = (planned.push, &before.file) {
        assert!(push.revision > *revision, "{planned:?}");
    }
}

/// From wherever it is, a good release whose proxies all answer gets to its end, given a person who says so.
fn gets_promoted_in_the_end(world: &mut World) {
    for proxy in world.proxies.values_mut() {
        proxy.does = Does::Follow;
    }
    for _ in 0..40 {
        let command = match world.status.phase {
            Phase::RolledBack { .. } | Phase::Aborted { .. } => CommandKind::Retry,
            _ => CommandKind::Resume,
        };
        tick(world, &[command, CommandKind::OverrideFreeze], requests(20, 0), Crash::None);
    }
    assert_eq!(world.status.phase, Phase::Promoted, "{:?}", world.status);
}
