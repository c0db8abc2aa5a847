/*!
Cards: Microsoft Teams' (Adaptive Cards 1.4, in the message that its Workflows take) and Google Chat's (cards v2).
*/
use serde_json::{Value, json};
use serin_release::resource::Level;

use super::cut;
use crate::notify::Message;

/// Teams takes 28 KB.
const LONGEST: usize = 3000;

/// What a webhook of Teams' Workflows is sent.
pub(in crate::notify) fn teams(message: &Message) -> Value {
    let facts = message.facts();
    let fact = |(name, value): &(&str, String)| json!({"title": name, "value": cut(value, 1000)});
    let colour = match message.severity {
        Level::Critical => "Attention",
        Level::Warning => "Warning",
        Level::Info if message.is_good() => "Good",
        Level::Info => "Accent",
    };
    // A RichTextBlock has no Markdown in it.
    let text = |text: &str| json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": cut(text, LONGEST)}]});
    let mut title = text(&message.title());
    title["inlines"][0]["weight"] = json!("Bolder");
    title["inlines"][0]["size"] = json!("Medium");
    title["inlines"][0]["color"] = json!(colour);
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            title,
            text(&message.text),
            {"type": "FactSet", "facts": facts.iter().map(fact).collect::<Vec<_>>()},
        ],
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// What a webhook of Google Chat is sent. The messages of a run make a thread.
pub(in crate::notify) fn google_chat(message: &Message) -> Value {
    let line = |(name, value): (&str, String)| json!({"decoratedText": {"topLabel": name, "text": escaped(&value), "wrapText": true}});
    let mut widgets = vec![json!({"textParagraph": {"text": escaped(&message.text)}})];
    widgets.extend(message.facts().into_iter().map(line));
    if let Some(link) = &message.link {
        widgets.push(
            json!({"buttonList": {"buttons": [{"text": "Open", "onClick": {"openLink": {"url": link}}}]}}),
        );
    }
    let subtitle = match message.severity {
        Level::Critical => "critical",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    json!({
        "cardsV2": [{
            "cardId": message.id,
            "card": {
                "header": {"title": message.title(), "subtitle": subtitle},
                "sections": [{"widgets": widgets}],
            },
        }],
        "thread": {"threadKey": format!("{}/{}", message.release(), message.run.as_deref().unwrap_or_default())},
    })
}

/// Texts of Google's cards are a little HTML.
fn escaped(text: &str) -> String {
    cut(text, LONGEST).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
