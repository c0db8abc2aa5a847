/*!
A world for the planner to be tested in: a file and proxies that follow pushes, unless told otherwise.
*/
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serin_policy::evidence::Tally;
use serin_policy::{Arm, Cohort, Lease, Weight};

use super::deployments::Cluster;
use super::{
    ArmCounts, Besides, Cell, Chosen, Command, Counts, Drawn, Environment, InForce, MetricReading, Mirrored,
    Observation, Plan, Proxy, ProxyState, Reason, Status, Term, plan,
};
use serin_release::Release;

pub(super) struct World {
    pub(super) release: Release,
    pub(super) status: Status,
    pub(super) file: InForce,
    /// When the file's lease runs out, if it has one.
    pub(super) until: Option<u64>,
    pub(super) proxies: BTreeMap<String, Model>,
    pub(super) now: Timestamp,
    /// Why nothing can be counted.
    pub(super) outage: Option<String>,
    /// Proxies that have closed the canary by themselves. They go by the next policy that is closed.
    pub(super) blown_fuses: Vec<String>,
    /// What rules give to a version at each tick.
    pub(super) chosen: Vec<Chosen>,
    /// What share of the copies the canary fails, in percent.
    pub(super) copies_fail: u64,
    /// What people's own metrics say.
    pub(super) readings: Vec<MetricReading>,
    /// The Deployments, in a cluster.
    pub(super) cluster: Option<Cluster>,
    /// Whether the file has proxies make copies of stable's requests: of all of them here.
    mirrors: bool,
    /// The status before the last tick.
    before: Status,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) does: Does,
    revision: u64,
    until: Option<u64>,
}

/// What a proxy does with a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Does {
    #[default]
    Follow,
    FallSilent,
    Bypass,
    Refuse,
    Lag,
}

/// What becomes of an planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Crash {
    #[default]
    None,
    /// The status is saved, the file is not written.
    BeforeWrite,
    /// Neither is.
    BeforeSave,
}

impl World {
    /// A world for the Release `yaml`: in a cluster, if it names Deployments.
    pub(super) fn new(yaml: &str) -> Self {
        let cluster = yaml.contains("targetRef").then(|| Cluster::new(yaml));
        Self {
            release: read(yaml, cluster.as_ref(), &Status::default()),
            cluster,
            status: Status::default(),
            file: InForce::Nothing,
            until: None,
            proxies: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
            outage: None,
            blown_fuses: Vec::new(),
            chosen: Vec::new(),
            copies_fail: 0,
            mirrors: false,
            readings: Vec::new(),
            before: Status::default(),
        }
    }

    /// The Release is edited.
    pub(super) fn reread(&mut self, yaml: &str) {
        if let Some(cluster) = &mut self.cluster {
            cluster.object = serde_saphyr::from_str(yaml).unwrap();
        }
        self.release = read(yaml, self.cluster.as_ref(), &self.status);
    }

    /// Time goes by without a look.
    pub(super) fn away(&mut self, time: SignedDuration) {
        self.now += time;
    }

    /// Time goes by, in which the agent sees to the lease, and then it looks.
    pub(super) fn tick(
        &mut self,
        after: SignedDuration,
        counts: Counts,
        commands: Vec<Command>,
        crash: Crash,
    ) -> Plan {
        self.now += after;
        if let Some(until) = self.until.as_mut().filter(|until| **until > seconds(self.now - after)) {
            *until += u64::try_from(after.as_secs()).unwrap();
        }
        if let Some(cluster) = &self.cluster {
            self.release = of_cluster(cluster, &self.status);
        }
        let observation = self.observe(counts, commands);
        let planned = plan(&self.release, &self.status, &observation, self.now);
        self.check(&planned);
        if let Some(cluster) = &mut self.cluster {
            cluster.follow();
            if crash == Crash::None {
                cluster.carry_out(&planned);
            }
        }
        if crash != Crash::BeforeSave {
            self.before = std::mem::replace(&mut self.status, planned.status.clone());
        }
        if crash == Crash::None && (planned.push.is_some() || planned.term.is_due(self.until, self.now)) {
            self.until = planned.term.lease(self.until, self.now);
        }
        if let (Crash::None, Some(push)) = (crash, planned.push) {
            let (run, revision, weight) = (self.release.run().to_owned(), push.revision, push.weight);
            let lease = lease(self.until, self.now);
            self.mirrors = push.besides == Besides::Mirror;
            self.file = InForce::Policy { run, revision, weight, closed: push.closed, lease };
            if push.closed {
                self.blown_fuses.clear();
            }
        }
        planned
    }

    pub(super) fn observe(&mut self, counts: Counts, commands: Vec<Command>) -> Observation {
        let (until, now) = (self.until, self.now);
        let revision = match &mut self.file {
            InForce::Policy { revision, lease: found, closed, .. } => {
                *found = if *closed { Lease::Unleased } else { lease(until, now) };
                Some(*revision)
            }
            InForce::Nothing | InForce::Unreadable { .. } => None,
        };
        let proxies = self.proxies.iter_mut().map(|(name, proxy)| Proxy {
            name: name.clone(),
            state: proxy.look(revision.map(|revision| (revision, until)), now),
        });
        let counted = cells(&counts);
        Observation {
            in_force: self.file.clone(),
            proxies: proxies.collect(),
            counted,
            at_proxies: counts,
            chosen: self.chosen.clone(),
            mirrored: self.mirrored(counts.stable),
            blown_fuses: self.blown_fuses.clone(),
            unassignable: 0,
            users: None,
            users_of_extras: BTreeMap::new(),
            readings: self.readings.clone(),
            outage: self.outage.clone(),
            commands,
            environment: self.cluster.as_ref().map_or(Environment::Standalone, |cluster| {
                Environment::Cluster(Box::new(cluster.observe(&self.status)))
            }),
        }
    }

    fn mirrored(&self, ArmCounts { requests, errors, .. }: ArmCounts) -> Mirrored {
        if !self.mirrors {
            return Mirrored::default();
        }
        let tally = |bad| Tally { requests, bad };
        Mirrored { stable: tally(errors), canary: tally(requests * self.copies_fail / 100) }
    }

    /// The last status to be saved is lost; the one before it is found instead.
    pub(super) fn lose_last_status(&mut self) {
        self.status = self.before.clone();
    }

    /// What holds for every planned.
    fn check(&self, planned: &Plan) {
        assert!(!planned.reasons.is_empty(), "{planned:?}");
        for reason in &planned.reasons {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json["code"], reason.code());
            assert_eq!(&serde_json::from_value::<Reason>(json).unwrap(), reason);
        }
        let json = serde_json::to_string(&planned.status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), planned.status, "{json}");
        if let Some(push) = planned.push {
            let status = &planned.status;
            assert_eq!((push.revision, push.weight), (status.revision, status.weight()));
            assert_eq!((push.closed, push.promoted), (status.is_closed(), status.is_promoted()));
            assert!(
                push.besides != Besides::Mirror || push.weight == Weight::ZERO && !push.closed,
                "{planned:?}"
            );
        }
        let status = &planned.status;
        if status.is_closed() || status.is_promoted() {
            assert!(!matches!(planned.term, Term::For(_)), "there is nobody to send back: {planned:?}");
        }
        if let InForce::Policy { lease: Lease::Lapsed, .. } = self.file
            && planned.push.is_none()
        {
            assert!(!matches!(planned.term, Term::For(_)), "opened again without a push: {planned:?}");
        }
        let what = |status: &Status| (status.run.clone(), status.weight(), status.is_closed());
        if !self.status.run.is_empty() {
            let changed = what(&self.status) != what(&planned.status);
            assert_eq!(changed, self.status.last_change != planned.status.last_change, "{planned:?}");
        }
    }
}

fn seconds(at: Timestamp) -> u64 {
    // A clock may be set to before 1970.
    u64::try_from(at.as_second()).unwrap_or_default()
}

fn lease(until: Option<u64>, now: Timestamp) -> Lease {
    Lease::at(until, || seconds(now) * 1_000_000_000)
}

fn read(yaml: &str, cluster: Option<&Cluster>, status: &Status) -> Release {
    cluster.map_or_else(|| Release::from_yaml(yaml).unwrap(), |cluster| of_cluster(cluster, status))
}

/// The Release as the canary's pod template has it be.
fn of_cluster(cluster: &Cluster, status: &Status) -> Release {
    Release::from_object(&cluster.object, &cluster.run(status)).unwrap().0
}

/// Counts whose callers are all of the last cohort.
fn cells(counts: &Counts) -> Vec<Cell> {
    let cell =
        |arm, counts| Cell { place: "gateway".to_owned(), drawn: Drawn::Cohort(Cohort::Rest), arm, counts };
    let cells = [cell(Arm::Stable, counts.stable), cell(Arm::Canary, counts.canary)];
    cells.into_iter().filter(|cell| cell.counts != ArmCounts::default()).collect()
}

impl Model {
    fn look(&mut self, file: Option<(u64, Option<u64>)>, now: Timestamp) -> ProxyState {
        if let (Does::Follow, Some(file)) = (self.does, file) {
            (self.revision, self.until) = file;
        }
        let revision = self.revision;
        let has_lapsed = lease(self.until, now) == Lease::Lapsed;
        match self.does {
            Does::FallSilent => ProxyState::Silent { error: "connection refused".to_owned() },
            Does::Bypass => ProxyState::Bypassed,
            Does::Follow | Does::Lag => ProxyState::Runs { revision, refused: None, has_lapsed },
            Does::Refuse => {
                let refused = Some("weight: many: give a number".to_owned());
                ProxyState::Runs { revision, refused, has_lapsed }
            }
        }
    }
}
