/*!
Queries of other tools with their variables, as Serin's.
*/

/// `query` with each `{{ … }}` replaced by what `put` says of what is in it.
///
/// # Errors
/// What `put` says against one.
pub(super) fn filled(query: &str, put: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), query);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((variable, after)) = after.split_once("}}") else {
            return Err("a {{ in the query is not closed".to_owned());
        };
        filled += before;
        filled += &put(variable.trim_matches(|one: char| one.is_whitespace() || one == '-'))?;
        rest = after;
    }
    Ok((filled + rest).trim().to_owned())
}

/// Serin's own variable.
pub(super) fn variable(name: &str) -> String {
    format!("{{{{ {name} }}}}")
}
