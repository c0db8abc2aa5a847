/*!
Errors as people read them. An error's own text is about itself alone; what caused it is its `source`, and is added here,
where a log line, a status or the command line is written.
*/
use std::error::Error;

/// `error` with all that caused it. A cause that is in the text already is left out: some libraries put it there
/// themselves, and it would be read twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::mesh::ecds::EcdsError;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot save")]
        Plain(#[source] EcdsError),
        #[error("cannot save: {0}")]
        Repeats(#[source] EcdsError),
        #[error(transparent)]
        Transparent(#[from] EcdsError),
    }

    fn full() -> EcdsError {
        let source = io::Error::other("no space left on device");
        EcdsError::Io { what: "write it", path: "/ecds/serin.json".into(), source }
    }

    #[test]
    fn every_cause_is_read_and_none_twice() {
        let cause = "/ecds/serin.json: cannot write it: no space left on device";
        for (error, expected) in [
            (Outer::Plain(full()), format!("cannot save: {cause}")),
            (Outer::Repeats(full()), format!("cannot save: {cause}")),
            (Outer::Transparent(full()), cause.to_owned()),
        ] {
            assert_eq!(chain(&error), expected);
            let in_context = anyhow::Error::from(error).context("at the start");
            assert_eq!(chain(in_context.as_ref()), format!("at the start: {expected}"));
        }
    }
}
