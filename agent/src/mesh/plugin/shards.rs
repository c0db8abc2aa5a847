/*!
Policies divided over several plugins, where one object cannot hold them all.

Two rules make the division:

- **Policies that may answer for the same request share a shard.** Within one document the exact host goes before
  the wildcard and the longer path before the shorter one. Two filters know nothing of each other: both would
  assign the request and count it, and the later one's header would win. So what overlaps in a host stays together,
  and a release for `*` has everybody with it.
- **A policy stays where it is as long as it can.** To move it is to have it in two plugins for a moment, or in none.
  Two is the better choice, so the new shard is written before the old one: both filters then come to the same answer
  by the same salt, and only callers without an id, and the counts, are taken twice for as long as a push takes.
*/
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_policy::PolicySpec;

use super::contents::{name, sort};
use super::policy_json;
use crate::mesh::hosts;

/// How much JSON newcomers may fill a plugin with. A push of so much takes about half a second.
pub const ROOM: usize = 900 * 1024;

/// How far those who are there already may grow. The store behind the API server takes 1.5 MiB, the object's managed
/// fields included; and a weight must never be refused because its policy became a byte longer.
pub const ROOM_TO_GROW: usize = 1200 * 1024;

/// The plugins of one attachment.
#[derive(Debug)]
pub struct Shards(BTreeMap<usize, Vec<Resident>>);

#[derive(Debug)]
struct Resident {
    policy: Value,
    bytes: usize,
    hosts: Vec<String>,
}

/// A plugin to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which one.
    pub shard: usize,
    /// What goes into it, in order. Nothing: the plugin is to be deleted.
    pub policies: Vec<Value>,
}

/// Policies that are written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Of each policy, in their order, whether it has a place. Those after them are for the next batch.
    pub placed: Vec<Result<(), TooLarge>>,
    /// What to write, in this order.
    pub writes: Vec<Write>,
}

/// Policies that must share a plugin do not fit into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{release}: its hosts overlap with those of {others} other releases here, and together their policies take \
     {bytes} bytes of the {ROOM} that a WasmPlugin holds: give it narrower hosts, or fewer segments"
)]
pub struct TooLarge {
    release: String,
    others: usize,
    bytes: usize,
}

impl Resident {
    fn new(policy: Value) -> Self {
        let hosts = policy.get("hosts").and_then(Value::as_array).into_iter().flatten();
        let hosts = hosts.filter_map(Value::as_str).flat_map(spellings).collect();
        // One for the comma.
        Self { bytes: policy.to_string().len() + 1, hosts, policy }
    }

    fn is_of(&self, release: &str) -> bool {
        name(&self.policy) == Some(release)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.hosts.iter().any(|host| other.hosts.iter().any(|other| hosts::overlap(host, other)))
    }
}

/// A host in the ways in which another policy may claim the same requests: a policy for one port is more special than
/// one for all, and a service also answers to its short names.
fn spellings(host: &str) -> Vec<String> {
    let name = hosts::canonical(hosts::without_port(host));
    let mut all = Vec::new();
    // The short form of a wildcard would be `*`: everybody's requests.
    let not_all = |short: &&str| *short != "*";
    if let Some(short) = name.strip_suffix(".svc.cluster.local").filter(not_all) {
        all.push(short.to_owned());
        all.extend(short.split_once('.').map(|(service, _)| service).filter(not_all).map(str::to_owned));
    }
    all.push(name);
    all
}

impl Shards {
    /// The shards as they are in the cluster: the policies of each plugin, by its number.
    pub fn new(plugins: impl IntoIterator<Item = (usize, Vec<Value>)>) -> Self {
        let resident = |policies: Vec<Value>| policies.into_iter().map(Resident::new).collect();
        Self(plugins.into_iter().map(|(shard, policies)| (shard, resident(policies))).collect())
    }

    /// What to write, in this order, so that `policy` is in force in place of what its release had. Mostly one plugin.
    ///
    /// # Errors
    /// When the policy and those that must be with it do not fit into one plugin. Nothing is to be written then.
    pub fn place(&self, policy: &PolicySpec) -> Result<Vec<Write>, TooLarge> {
        let new = Resident::new(policy_json(policy));
        let kin = self.kin(&new, &policy.name);
        let kin_bytes = new.bytes + self.bytes(&kin);
        // Where most of the family is already, and among equals where this policy is itself, the fewest have to move.
        let mut candidates: Vec<usize> = self.0.keys().copied().collect();
        candidates.sort_by_key(|&shard| {
            let of_shard = kin.iter().copied().filter(|&(at, _)| at == shard).collect();
            (std::cmp::Reverse(self.bytes(&of_shard)), !self.holds(shard, &policy.name), shard)
        });
        let fits = |&shard: &usize| {
            let all_here = kin.iter().all(|&(at, _)| at == shard);
            let room = if all_here && self.holds(shard, &policy.name) { ROOM_TO_GROW } else { ROOM };
            let others = self.residents(shard, &policy.name, &kin).map(|(_, resident)| resident.bytes);
            others.sum::<usize>() + kin_bytes <= room
        };
        let unused = || (0..=self.0.len()).find(|shard| !self.0.contains_key(shard));
        let target = candidates.into_iter().find(fits).or_else(|| unused().filter(|_| kin_bytes <= ROOM));
        let (target, kin) = match (target, self.home(&new, &policy.name)) {
            (Some(target), _) => (target, kin),
            // A weight is never refused, least of all the way back: who claims no new host stays with what is there.
            (None, Some(home)) => (home, BTreeSet::new()),
            (None, None) => {
                return Err(TooLarge { release: policy.name.clone(), others: kin.len(), bytes: kin_bytes });
            }
        };
        let stay = self.residents(target, &policy.name, &kin).map(|(_, resident)| resident);
        let come = kin.iter().filter_map(|&(shard, at)| self.0.get(&shard)?.get(at));
        let mut writes = vec![write(target, stay.chain(come).chain([&new]))];
        for &shard in self.0.keys().filter(|&&shard| shard != target) {
            if self.holds(shard, &policy.name) || kin.iter().any(|&(at, _)| at == shard) {
                writes.push(write(shard, self.residents(shard, &policy.name, &kin).map(|(_, it)| it)));
            }
        }
        Ok(writes)
    }

    /// What to write so that the first of `policies` are in force, as many as can be written together: of each plugin only
    /// the last state is. A policy that moves is in both plugins before it is in one, so it is written by itself.
    pub fn batch<'p>(mut self, policies: impl IntoIterator<Item = &'p PolicySpec>) -> Batch {
        let mut batch = Batch::default();
        for policy in policies {
            match self.place(policy) {
                Err(too_large) => batch.placed.push(Err(too_large)),
                Ok(writes) => {
                    let moves = writes.len() > 1;
                    if moves && !batch.writes.is_empty() {
                        break;
                    }
                    batch.placed.push(Ok(()));
                    batch.writes.retain(|write| writes.iter().all(|newer| newer.shard != write.shard));
                    self.apply(&writes);
                    batch.writes.extend(writes);
                    if moves {
                        break;
                    }
                }
            }
        }
        batch
    }

    fn apply(&mut self, writes: &[Write]) {
        for Write { shard, policies } in writes {
            if policies.is_empty() {
                self.0.remove(shard);
            } else {
                self.0.insert(*shard, policies.iter().cloned().map(Resident::new).collect());
            }
        }
    }

    /// What to write so that `release` has no policy here any more.
    pub fn remove(&self, release: &str) -> Vec<Write> {
        let none = BTreeSet::new();
        let holding = self.0.keys().filter(|&&shard| self.holds(shard, release));
        holding.map(|&shard| write(shard, self.residents(shard, release, &none).map(|(_, it)| it))).collect()
    }

    /// The shard that has the policy of `release`, if `new` claims the hosts that this one does.
    fn home(&self, new: &Resident, release: &str) -> Option<usize> {
        let same = |resident: &Resident| resident.is_of(release) && resident.hosts == new.hosts;
        self.0.iter().find(|(_, list)| list.iter().any(same)).map(|(&shard, _)| shard)
    }

    fn holds(&self, shard: usize, release: &str) -> bool {
        self.0.get(&shard).is_some_and(|list| list.iter().any(|resident| resident.is_of(release)))
    }

    /// Those of a shard that are neither of `release` nor among `kin`.
    fn residents<'s>(
        &'s self,
        shard: usize,
        release: &'s str,
        kin: &'s BTreeSet<(usize, usize)>,
    ) -> impl Iterator<Item = (usize, &'s Resident)> {
        let list = self.0.get(&shard).into_iter().flatten().enumerate();
        list.filter(move |&(at, resident)| !resident.is_of(release) && !kin.contains(&(shard, at)))
    }

    /// All who must be with `new`, by shard and place in it: whoever overlaps with it, or with one who does.
    fn kin(&self, new: &Resident, release: &str) -> BTreeSet<(usize, usize)> {
        let mut kin = BTreeSet::new();
        let mut unasked = vec![new];
        while let Some(one) = unasked.pop() {
            for (&shard, list) in &self.0 {
                for (at, other) in list.iter().enumerate() {
                    if !other.is_of(release) && !kin.contains(&(shard, at)) && one.overlaps(other) {
                        kin.insert((shard, at));
                        unasked.push(other);
                    }
                }
            }
        }
        kin
    }

    fn bytes(&self, of: &BTreeSet<(usize, usize)>) -> usize {
        let residents = of.iter().filter_map(|&(shard, at)| self.0.get(&shard)?.get(at));
        residents.map(|resident| resident.bytes).sum()
    }
}

fn write<'r>(shard: usize, residents: impl Iterator<Item = &'r Resident>) -> Write {
    let mut policies: Vec<_> = residents.map(|resident| resident.policy.clone()).collect();
    sort(&mut policies);
    // A move that was broken off has left a policy in two places; the later one is what was meant.
    let revision = |policy: &Value| policy.get("revision").and_then(Value::as_f64).unwrap_or_default();
    policies.dedup_by(|later, kept| {
        let same = name(later).is_some() && name(later) == name(kept);
        if same && revision(later) > revision(kept) {
            std::mem::swap(later, kept);
        }
        same
    });
    Write { shard, policies }
}
