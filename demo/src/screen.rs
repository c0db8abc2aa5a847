/*!
Where the demo is watched: a terminal that shows one frame over the other, or lines for whatever is none.
*/
use std::io;

use console::Term;

use crate::format::clock;
use crate::timeline::{Kind, Timeline};
use crate::view::{Scene, frame};

/// Where the demo is watched.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal: frames.
    Live(Frames),
    /// Anything else: a line for each event.
    Lines {
        /// Where they go.
        term: Term,
        /// How many events have been told.
        told: usize,
    },
}

/// One frame over the other, in place.
#[derive(Debug)]
pub(super) struct Frames {
    term: Term,
    /// What is on the terminal, if there is anything.
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    size: (u16, u16),
    lines: usize,
}

impl Screen {
    /// Frames if standard output is a terminal and not taken by `json`, lines otherwise.
    pub(super) fn new(json: bool) -> Self {
        let stdout = Term::stdout();
        if json {
            Self::Lines { term: Term::stderr(), told: 0 }
        } else if stdout.is_term() && !console::is_dumb() {
            Self::Live(Frames { term: stdout, shown: None })
        } else {
            Self::Lines { term: stdout, told: 0 }
        }
    }

    /// Shows how things are.
    pub(super) fn show(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        match self {
            Self::Live(frames) => frames.show(scene),
            Self::Lines { term, told } => tell(term, told, scene.timeline),
        }
    }

    /// Tells of what goes on before there is anything to show.
    pub(super) fn note(&self, text: &str) {
        let (Self::Live(Frames { term, .. }) | Self::Lines { term, .. }) = self;
        // A note that cannot be read is none; what matters is what comes after.
        let _ = term.write_line(text);
    }

    /// Says something besides the course of events.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Live(frames) => {
                frames.close()?;
                frames.term.write_line(text)
            }
            Self::Lines { term, .. } => term.write_line(text),
        }
    }
}

fn tell(term: &Term, told: &mut usize, timeline: &Timeline) -> io::Result<()> {
    for entry in timeline.journal.iter().skip(*told) {
        let who = if entry.kind == Kind::Deed { "operator: " } else { "" };
        term.write_line(&format!("{}  {who}{}", clock(timeline.began, entry.at), entry.text))?;
    }
    *told = timeline.journal.len();
    Ok(())
}

impl Frames {
    fn show(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        let size = self.term.size();
        let (rows, columns) = size;
        let frame = frame(scene, columns.into(), rows.into());
        let begin = match &self.shown {
            None => "\x1b[?25l".to_owned(),
            // Wherever the old frame is after its lines were broken anew, it is easier to begin afresh.
            Some(shown) if shown.size != size => "\x1b[2J\x1b[H".to_owned(),
            Some(Shown { lines: 0 | 1, .. }) => "\r".to_owned(),
            Some(Shown { lines, .. }) => format!("\r\x1b[{}A", lines - 1),
        };
        self.shown = Some(Shown { size, lines: frame.lines().count() });
        // In one write, and between marks that tell terminals who know them to show all of it at once.
        let lines = frame.replace('\n', "\x1b[K\n");
        self.term.write_str(&format!("\x1b[?2026h{begin}{lines}\x1b[K\x1b[J\x1b[?2026l"))
    }

    /// Leaves the frame where it is and gives the terminal back.
    fn close(&mut self) -> io::Result<()> {
        if self.shown.take().is_some() { self.term.write_str("\x1b[?25h\n") } else { Ok(()) }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // A terminal that is gone needs no cursor.
        let _ = self.close();
    }
}
