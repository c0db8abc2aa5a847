/*!
The forms in which commands say what they have found, and tables.
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

/// Rows in columns, the header first. `painted` has the cells, by row and column, that look otherwise than they are written.
pub(super) fn aligned(rows: &[Vec<String>], painted: impl Fn(usize, usize) -> Option<String>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let padded = format!("{cell:<width$}");
            match painted(i, column) {
                Some(painted) => padded.replacen(cell.as_str(), &painted, 1),
                None => padded,
            }
        });
        text += cells.collect::<Vec<_>>().join("   ").trim_end();
        text.push('\n');
    }
    text
}
