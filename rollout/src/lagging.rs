/*!
Proxies that do not run what is wanted: as long as there are any, nobody else is moved.
*/
use std::fmt;

use serde::{Deserialize, Serialize};

use super::observation::{Proxy, ProxyState};
use super::reason::Hold;
use super::{Tick, Write};

/// A proxy that does not report what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lagging {
    /// Its name.
    pub name: String,
    /// What keeps it.
    #[serde(flatten)]
    pub how: Lag,
}

/// What keeps a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "lag", rename_all = "kebab-case")]
pub enum Lag {
    /// It does not answer.
    Silent {
        /// What was got instead of an answer.
        error: String,
    },
    /// The filter does not run there.
    Bypassed,
    /// It runs another revision.
    Behind,
    /// It takes the policy's lease for run out, though the agent does not.
    Lapsed,
}

impl Tick<'_> {
    /// Says which proxies refuse what is in front of them, whether or not that holds anything up.
    pub(super) fn tell_refusals(&mut self) {
        for Proxy { name, state } in &self.observation.proxies {
            if let ProxyState::Runs { refused: Some(why), .. } = state {
                self.say(Hold::ProxyRefuses { name: name.clone(), why: why.clone() });
            }
        }
    }

    /// Whether every proxy reports what is wanted.
    pub(super) fn all_report(&self) -> bool {
        self.write == Write::Nothing && self.all_run(self.status.revision)
    }

    /// Whether every proxy runs `revision`; there must be one at least.
    pub(super) fn all_run(&self, revision: u64) -> bool {
        !self.observation.proxies.is_empty() && self.lagging_behind(revision).is_empty()
    }

    /// The proxies that do not run `revision`, by name.
    pub(super) fn lagging_behind(&self, wanted: u64) -> Vec<Lagging> {
        let lag = |state: &ProxyState| match state {
            ProxyState::Silent { error } => Some(Lag::Silent { error: error.clone() }),
            ProxyState::Bypassed => Some(Lag::Bypassed),
            // What counts is what it runs, whatever it has refused besides.
            ProxyState::Runs { revision, .. } if *revision != wanted => Some(Lag::Behind),
            ProxyState::Runs { has_lapsed, .. } => has_lapsed.then_some(Lag::Lapsed),
        };
        let lagging = |proxy: &Proxy| Some(Lagging { name: proxy.name.clone(), how: lag(&proxy.state)? });
        let mut all: Vec<_> = self.observation.proxies.iter().filter_map(lagging).collect();
        all.sort();
        all
    }
}

/// The first few of many proxies: a mesh may have hundreds.
pub(super) struct Shortened<'p>(pub(super) &'p [Lagging]);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        for (i, Lagging { name, how }) in self.0.iter().take(SHOWN).enumerate() {
            f.write_str(if i == 0 { "" } else { "; " })?;
            match how {
                Lag::Silent { error } => write!(f, "{name} does not answer ({error})")?,
                Lag::Bypassed => write!(f, "{name} does not run the filter")?,
                Lag::Behind => write!(f, "{name} runs another revision")?,
                Lag::Lapsed => {
                    write!(
                        f,
                        "{name} has sent everybody to stable, for the agent's lease has run out there"
                    )?;
                }
            }
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
