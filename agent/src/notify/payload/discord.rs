/*!
Discord: an embed (discord.com/developers/docs, "Execute Webhook", "Embed Limits").
*/
use serde_json::{Value, json};

use super::{colour, cut, without_nulls};
use crate::notify::Message;

/// What a webhook is sent. All its texts together stay below 6,000 characters.
pub(in crate::notify) fn discord(message: &Message) -> Value {
    let field = |(name, value): (&str, String)| {
        let most = if name == "Evidence" { 1000 } else { 300 };
        json!({"name": name, "value": escaped(&value, most), "inline": name != "Evidence"})
    };
    let embed = json!({
        "title": escaped(&message.title(), 256),
        "url": message.link,
        "description": escaped(&message.text, 2000),
        "color": colour(message),
        "fields": message.facts().into_iter().map(field).collect::<Vec<_>>(),
        "timestamp": message.at.to_string(),
    });
    json!({"embeds": [without_nulls(embed)], "allowed_mentions": {"parse": []}})
}

/// Without Markdown.
fn escaped(text: &str, most: usize) -> String {
    let mut escaped = String::new();
    for letter in cut(text, most / 2).chars() {
        if matches!(letter, '*' | '_' | '~' | '`' | '|' | '>' | '[' | ']' | '(' | ')' | '\\' | '#') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
