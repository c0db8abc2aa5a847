/*!
Errors as people read them. An error's own text is about itself alone; what caused it is its `source`, and is added here,
where a log line, a status or the command line is written.
*/
use std::error::Error;

/// What an error says of itself. What an API server has answered is in its own words; the rest of it is for programs.
fn words<'e>(error: &'e (dyn Error + 'static)) -> (String, Option<&'e (dyn Error + 'static)>) {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => (status.message.clone(), None),
        _ => (error.to_string(), error.source()),
    }
}

/// `error` with all that caused it. A cause that is in the text already is left out: some libraries put it there
/// themselves, and it would be read twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut source) = words(error);
    while let Some(cause) = source {
        let (words, next) = words(cause);
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = next;
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
    fn what_an_api_server_answers_is_in_its_own_words() {
        let refused = kube::core::Status::failure("you may not", "Forbidden").with_code(403);
        let error =
            anyhow::Error::from(kube::Error::Api(refused.boxed())).context("cannot abort release shop");
        assert_eq!(chain(error.as_ref()), "cannot abort release shop: you may not");
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
