/*!
Requests of one worker that wait for an answer, so that one which waits too long is noticed while it does.

There are only so many places. Whoever finds none is not watched, and counts when its answer comes.
*/
use std::rc::Rc;

use serin_policy::Arm;
use serin_policy::users::User;

use crate::meters::Series;
use crate::run::Run;

/// How many requests are watched at a time.
const PLACES: usize = 4096;

/// Those that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
    entered: u64,
}

/// What a request is booked on.
#[derive(Debug, Clone)]
pub struct Account {
    /// The run it is of.
    pub run: Rc<Run>,
    /// The counters of its version and group.
    pub series: Rc<Series>,
    /// Its version.
    pub arm: Arm,
    /// Who made it, if they were drawn.
    pub user: Option<User>,
    /// Whether the release's own weight drew them. What another weight drew is no part of the same draw, and would count
    /// with the wrong odds.
    pub is_of_the_draw: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    due_ns: u64,
    account: Account,
}

/// A place that was given to a request.
#[derive(Debug)]
pub struct Place {
    index: usize,
    number: u64,
}

impl Waiting {
    /// A request waits, and is overdue after `due_ns`.
    pub fn enter(&mut self, due_ns: u64, account: Account) -> Option<Place> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < PLACES => {
                self.places.push(None);
                self.places.len() - 1
            }
            None => return None,
        };
        self.entered += 1;
        let number = self.entered;
        *self.places.get_mut(index)? = Some(Entry { number, due_ns, account });
        Some(Place { index, number })
    }

    /// The request at `place` waits no more; says whether it still did.
    #[expect(clippy::needless_pass_by_value, reason = "a place is left once")]
    pub fn leave(&mut self, place: Place) -> bool {
        let is_theirs = |entry: &mut Entry| entry.number == place.number;
        let found = self.places.get_mut(place.index).and_then(|entry| entry.take_if(is_theirs));
        let is_there = found.is_some();
        if is_there {
            self.free.push(place.index);
        }
        is_there
    }

    /// Takes out those that are overdue. So even one of which nothing is heard any more leaves.
    pub fn overdue(&mut self, now_ns: u64) -> Vec<Account> {
        let mut overdue = Vec::new();
        for (index, place) in self.places.iter_mut().enumerate() {
            if let Some(entry) = place.take_if(|entry| entry.due_ns < now_ns) {
                self.free.push(index);
                overdue.push(entry.account);
            }
        }
        overdue
    }
}
