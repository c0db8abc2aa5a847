/*!
What a pod's image says about the server in it.

There are no images to pull, so a reference tells all there is to know: `shop:v2?errors=5%&delay=300ms` is version `v2`
of a shop that fails one request in twenty. The name before the colon does not matter, except that `missing` cannot be
pulled and `never-ready` never becomes ready. An absolute path is a program instead ([`super::program`]).
*/
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use serin_release::duration;

/// The server in a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    /// The whole reference.
    pub(super) reference: String,
    /// The tag: what the server says its version is.
    pub(super) version: String,
    /// Whether it can be pulled.
    pub(super) exists: bool,
    /// `start=3s`: how long it takes until it is ready; none is for ever.
    pub(super) start: Option<Duration>,
    /// `crash` or `crash=3s`: when it falls over.
    pub(super) crash: Option<Duration>,
    /// `stop=0s`: how long it goes on serving when its pod is deleted.
    pub(super) stop: Duration,
    /// How it answers.
    pub(super) manners: Manners,
}

/// How a server answers. A pod's annotation [`MANNERS`] changes it while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Manners {
    /// `errors=5%`: the share of requests that it answers with 500.
    pub(super) errors: f64,
    /// `delay=300ms`: how long an answer takes on average.
    pub(super) delay: Duration,
    /// `seed=7`: what errors and delays are drawn from.
    pub(super) seed: u64,
}

/// The annotation by which a pod that runs changes its manners: `errors=5%&delay=300ms`.
pub const MANNERS: &str = "tests.serin.dev/manners";

/// Long enough for every proxy to hear that a pod is going.
const STOP: Duration = Duration::from_secs(3);

impl Image {
    pub(super) fn parse(reference: &str) -> Result<Self> {
        let (image, options) = reference.split_once('?').unwrap_or((reference, ""));
        let (name, version) = image.rsplit_once(':').unwrap_or((image, "latest"));
        let mut parsed = Self {
            reference: reference.to_owned(),
            version: version.to_owned(),
            exists: name != "missing",
            start: (name != "never-ready").then_some(Duration::ZERO),
            crash: None,
            stop: STOP,
            manners: Manners { errors: 0.0, delay: Duration::ZERO, seed: 1 },
        };
        for (key, value) in pairs(options) {
            parsed.set(key, value).with_context(|| format!("{key} in the image {reference:?}"))?;
        }
        Ok(parsed)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "ready" if value == "never" => self.start = None,
            "start" => self.start = Some(time(value)?),
            "crash" if value.is_empty() => self.crash = Some(Duration::ZERO),
            "crash" => self.crash = Some(time(value)?),
            "stop" => self.stop = time(value)?,
            _ => self.manners.set(key, value)?,
        }
        Ok(())
    }
}

impl Manners {
    /// These manners, but for what `options` say.
    pub(super) fn with(mut self, options: &str) -> Result<Self> {
        for (key, value) in pairs(options) {
            self.set(key, value).with_context(|| format!("{key} in the manners {options:?}"))?;
        }
        Ok(self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "errors" => {
                let percent: f64 = value.strip_suffix('%').context("want a percentage")?.parse()?;
                self.errors = percent / 100.0;
            }
            "delay" => self.delay = time(value)?,
            "seed" => self.seed = value.parse()?,
            _ => bail!("nothing of that name"),
        }
        Ok(())
    }
}

fn pairs(options: &str) -> impl Iterator<Item = (&str, &str)> {
    let options = options.split('&').filter(|option| !option.is_empty());
    options.map(|option| option.split_once('=').unwrap_or((option, "")))
}

fn time(value: &str) -> Result<Duration> {
    duration::parse(value).map_err(Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_what_runs() {
        let image = Image::parse("shop:v2?errors=5%&delay=300ms&start=3s&crash&stop=0s").unwrap();
        assert_eq!((image.version.as_str(), image.exists), ("v2", true));
        assert_eq!((image.start, image.crash), (Some(Duration::from_secs(3)), Some(Duration::ZERO)));
        assert_eq!(image.stop, Duration::ZERO);
        let manners = Manners { errors: 0.05, delay: Duration::from_millis(300), seed: 1 };
        assert_eq!(image.manners, manners);
        assert_eq!(manners.with("errors=0%").unwrap(), Manners { errors: 0.0, ..manners });
    }

    #[test]
    fn some_images_never_run_and_misspelled_ones_are_refused() {
        assert!(!Image::parse("missing:v1").unwrap().exists);
        assert_eq!(Image::parse("never-ready").unwrap().start, None);
        assert_eq!(Image::parse("shop:v1?ready=never").unwrap().start, None);
        assert!(Image::parse("shop:v1?erorrs=5%").is_err());
    }
}
