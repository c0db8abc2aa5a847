/*!
Words that people bring along: where a Release has a field of Flagger's or Argo's, it is refused with what to write instead.
*/
use serin_release::ReleaseError;

use super::source::Table;
use super::{argo, flagger_fields};

const TOOLS: [(&str, Table); 2] = [("Flagger", flagger_fields::FIELDS), ("Argo", argo::FIELDS)];

/// The error, and what the other tools' fields of this name are in Serin, a line each.
pub(crate) fn explained(error: &ReleaseError) -> String {
    let mut text = error.to_string();
    let ReleaseError::Unreadable { unknown: Some(unknown), .. } = error else { return text };
    let mut said = false;
    for (tool, table) in TOOLS {
        let is_it =
            |path: &str| path.rsplit('.').next().map(|name| name.trim_end_matches("[]")) == Some(unknown);
        for (path, becomes) in table.iter().filter(|(path, _)| is_it(path)) {
            text = format!("{}\n{tool}'s {path} is, in a Release: {becomes}", text.trim_end());
            said = true;
        }
    }
    if said {
        text.push_str("\n`serin convert FILE` makes a Release of what you have there");
    }
    text
}
