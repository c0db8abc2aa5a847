/*!
What an agent shows of the Releases that it does not drive, since another one leads or nothing can be planned for them: what the API
server has of them. So every replica has the same pages.
*/
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Event};

use super::memory::saved_in;
use super::stores::{self, Wake, Watched};
use crate::view::board::Board;
use serin_release::ReleaseObject;

/// Takes note of what comes from the watch of Releases. What one had that is gone, another may be waiting for.
pub(super) fn follow(
    releases: Store<Watched>,
    wake: Wake,
    board: Arc<Board>,
) -> impl Fn(&watcher::Result<Event<Watched>>) {
    move |event| match event {
        Ok(Event::Delete(gone)) => {
            board.forget(&format!("{}/{}", gone.namespace().unwrap_or_default(), gone.name_any()));
            stores::wake_all(&releases, &wake);
        }
        Ok(Event::Apply(watched) | Event::InitApply(watched)) => {
            if let Ok(object) = &watched.0 {
                note(&board, object, Timestamp::now());
            }
        }
        Ok(Event::Init | Event::InitDone) | Err(_) => {}
    }
}

/// Takes note of a Release as the API server has it.
pub fn note(board: &Board, object: &ReleaseObject, now: Timestamp) {
    let saved = object.status.as_ref().and_then(saved_in);
    board.follow(object, saved.as_ref(), now);
}
