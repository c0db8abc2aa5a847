/*!
Headings, sentences and tables, as Markdown and as a page.
*/
use std::fmt::Write as _;

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    Heading(&'static str),
    Text(String),
    /// Columns and rows.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// As Markdown.
pub(super) fn markdown(title: &str, blocks: &[Block]) -> String {
    // What people wrote is to be read as it is, and stays in its cell.
    let escaped = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for one in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
            if matches!(one, '\\' | '|' | '<' | '*' | '_' | '`' | '[') {
                escaped.push('\\');
            }
            escaped.push(one);
        }
        escaped
    };
    let mut text = format!("# {}\n", escaped(title));
    for block in blocks {
        text.push('\n');
        match block {
            Block::Heading(heading) => {
                let _ = writeln!(text, "## {heading}");
            }
            Block::Text(paragraph) => {
                let _ = writeln!(text, "{}", escaped(paragraph));
            }
            Block::Table(columns, rows) => {
                let _ = writeln!(text, "| {} |", columns.join(" | "));
                let _ = writeln!(text, "|{}", "---|".repeat(columns.len()));
                for row in rows {
                    let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
                    let _ = writeln!(text, "| {} |", cells.join(" | "));
                }
            }
        }
    }
    text
}

/// How the page looks, in light and in darkness.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;\
color-scheme:light dark}table{border-collapse:collapse;display:block;overflow-x:auto}\
th,td{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;border-bottom:1px solid #8884}";

/// As a page by itself: it fetches nothing and runs nothing.
pub(super) fn html(title: &str, blocks: &[Block]) -> String {
    let page = maud::html! {
        (maud::DOCTYPE)
        html lang="en" {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) }
            style { (STYLE) }
            main {
                h1 { (title) }
                @for block in blocks {
                    @match block {
                        Block::Heading(heading) => h2 { (heading) },
                        Block::Text(paragraph) => p { (paragraph) },
                        Block::Table(columns, rows) => table {
                            @if columns.iter().any(|column| !column.is_empty()) {
                                tr { @for column in columns { th scope="col" { (column) } } }
                            }
                            @for row in rows { tr { @for cell in row { td { (cell) } } } }
                        },
                    }
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_means_nothing_to_a_page_or_a_table() {
        let blocks = [
            Block::Text("by <script>alert(1)</script> & co".to_owned()),
            Block::Table(vec!["why"], vec![vec!["a | b\n`c` [d](javascript:e)".to_owned()]]),
        ];
        let page = html("x\" onload=\"y", &blocks);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)"), "{page}");
        assert!(page.contains("<h1>x&quot; onload=&quot;y</h1>"), "{page}");
        let text = markdown("a *b*", &blocks);
        assert!(text.starts_with("# a \\*b\\*\n"), "{text}");
        assert!(text.contains(r"| a \| b \`c\` \[d](javascript:e) |"), "{text}");
        assert!(text.contains(r"by \<script>"), "{text}");
    }
}
