/*!
The forms in which commands say what they have found.
*/
use clap::ValueEnum;
use serde::Serialize;

/// A form for machines, or one for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For people who want to know more.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// A document of `value`; none if it is for people.
pub(super) fn document(format: Format, value: &impl Serialize) -> anyhow::Result<Option<String>> {
    Ok(match format {
        Format::Table | Format::Wide => None,
        Format::Json => Some(format!("{}\n", serde_json::to_string_pretty(value)?)),
        Format::Yaml => Some(serde_saphyr::to_string(value)?),
    })
}
