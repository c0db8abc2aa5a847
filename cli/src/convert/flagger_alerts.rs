/*!
The alerts of a Canary, and the AlertProviders that they name. Where a message goes is secret in Serin, so the addresses are
copied into the one Secret of a namespace that the agent may read. They are not shown: what is printed goes into Git.
*/
use serde_json::json;
use serin_agent::mesh::object::text;

use super::source::Source;
use super::{Found, label, tell_of_reach};
use crate::draft::{Draft, Fields};

/// The Secret of a namespace that the agent may read.
const SECRET: &str = "serin-notifications";

/// What a bot of Slack's writes to, in place of a webhook.
const SLACK_BOT: &str = "https://slack.com/api/";

/// Takes the alerts of a Canary in `namespace`.
pub(super) fn notifications(
    source: &mut Source,
    namespace: Option<&str>,
    found: &Found,
    draft: &mut Draft,
) -> Vec<Fields> {
    let mut told = Vec::new();
    let mut copies = Vec::new();
    for (i, mut alert) in source.take_list("spec.analysis.alerts").into_iter().enumerate() {
        let place = format!("spec.analysis.alerts[{i}]");
        let name = alert.take_text("name").unwrap_or_default();
        let key = label(&name, &told);
        let of = alert.take_text("providerRef.namespace").or_else(|| namespace.map(str::to_owned));
        let provider = alert.take_text("providerRef.name").unwrap_or_default();
        alert.take("providerRef");
        let one = Provider { name: &provider, namespace: of.as_deref(), key: &key };
        match one.channel(found, namespace, draft) {
            Ok((field, channel, copy)) => {
                let mut fields = Fields::default().with("name", key.as_str());
                fields.put_some("severity", severity(&mut alert));
                fields.put(field, channel);
                told.push(fields);
                copies.push(copy);
                alert.tell_rest("spec.analysis.alerts[]", &place, super::flagger_fields::FIELDS, draft);
            }
            Err(why) => draft.leave_out(format!("{place} ({name})"), &why),
        }
    }
    if !copies.is_empty() {
        let of = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
        draft.note(format!(
            "to do: copy the addresses of messages into the Secret {SECRET}. It is the only one that the agent may read, unless \
             a Role says otherwise (docs/notifications.md).\nkubectl create secret generic {SECRET}{of}\n{}",
            copies.join("\n")
        ));
    }
    told
}

/// Whether a Canary has alerts by the provider `name`.
pub(super) fn is_named(name: &str, found: &Found) -> bool {
    found.of("flagger.app", &["Canary"]).any(|canary| {
        let analyses = ["/spec/analysis/alerts", "/spec/canaryAnalysis/alerts"];
        let mut alerts = analyses.iter().filter_map(|path| canary.pointer(path)?.as_array()).flatten();
        alerts.any(|alert| text(alert, "/providerRef/name") == name)
    })
}

/// The least that is told. Serin's own default is `Info`.
fn severity(alert: &mut Source) -> Option<&'static str> {
    let given = alert.take_text("severity")?;
    match given.as_str() {
        "warn" => Some("Warning"),
        "error" => Some("Critical"),
        "" | "info" => None,
        _ => {
            alert.put("severity", given.into());
            None
        }
    }
}

/// An `AlertProvider` that is named.
struct Provider<'p> {
    name: &'p str,
    namespace: Option<&'p str>,
    /// The key that the address gets.
    key: &'p str,
}

impl Provider<'_> {
    /// The field of its channel, what is in it, and the command that copies the address for it.
    fn channel(
        &self,
        found: &Found,
        own: Option<&str>,
        draft: &mut Draft,
    ) -> Result<(&'static str, Fields, String), String> {
        let name = self.name;
        let object = found.named("flagger.app", &["AlertProvider"], self.namespace, name);
        let object =
            object.ok_or_else(|| format!("AlertProvider {name} is in none of the files: convert it too"))?;
        let mut provider = Source::new(object["spec"].clone());
        let kind = provider.take_text("type").unwrap_or_default();
        let address = provider.take_text("address");
        let secret = provider.take_text("secretRef.name");
        provider.take("secretRef");
        let mut channel = Fields::default();
        let reference = Fields::default().with("name", SECRET).with("key", self.key);
        channel.put("secretRef", reference);
        let field = match kind.as_str() {
            "slack" if secret.is_none() && address.as_ref().is_some_and(|to| to.starts_with(SLACK_BOT)) => {
                return Err(format!("AlertProvider {name} is a bot of Slack's without a token"));
            }
            "slack" => {
                if secret.is_some() {
                    draft.note(format!(
                        "to do: if the Secret of AlertProvider {name} has a token, it is a bot's: copy that in place of the \
                         address, and give the channel's id as slack.channel."
                    ));
                }
                "slack"
            }
            "msteams" => "teams",
            "discord" => {
                draft.note("to do: take /slack off the end of Discord's address, if it is there: Serin sends Discord's own embeds.");
                "discord"
            }
            "gchat" => "googleChat",
            "rocket" => {
                channel.put("template", rocket(&mut provider));
                "webhook"
            }
            _ => {
                return Err(format!("AlertProvider {name} is of the type {kind}: Serin has no such channel"));
            }
        };
        match &address {
            Some(address) if secret.is_none() => tell_of_reach(address, own, draft),
            _ if kind == "rocket" => draft.note(
                "to do: have the agent's operator add Rocket.Chat's address to allowedAddresses (docs/notifications.md).",
            ),
            _ => {}
        }
        let copy = self.copy(secret.as_deref(), own);
        provider.tell_rest(
            "AlertProvider.spec",
            &format!("AlertProvider {name}: spec"),
            super::flagger_fields::FIELDS,
            draft,
        );
        Ok((field, channel, copy))
    }

    /// A command that puts the address into the Secret, wherever it is now. That of a Secret stays encoded.
    fn copy(&self, secret: Option<&str>, own: Option<&str>) -> String {
        let of = |namespace: Option<&str>| namespace.map_or_else(String::new, |name| format!(" -n {name}"));
        let (key, to, from) = (self.key, of(own), of(self.namespace));
        let (encoded, object, path) = match secret {
            Some(secret) => ("data", format!("secret {secret}"), "{.data.address}"),
            None => ("stringData", format!("alertproviders.flagger.app {}", self.name), "{.spec.address}"),
        };
        format!(
            r#"kubectl patch secret {SECRET}{to} -p "{{\"{encoded}\":{{\"{key}\":\"$(kubectl get {object}{from} -o jsonpath='{path}')\"}}}}""#
        )
    }
}

/// What Rocket.Chat's incoming webhooks take, with the name and the channel that the provider has.
fn rocket(provider: &mut Source) -> String {
    let alias = provider.take_text("username").unwrap_or_else(|| "serin".to_owned());
    let channel = provider.take_text("channel");
    let channel = channel.map_or_else(String::new, |channel| format!(r#""channel": {}, "#, json!(channel)));
    format!(
        r#"{{"alias": {}, {channel}"text": {{{{ title }}}}, "attachments": [{{"text": {{{{ text }}}}, "title_link": {{{{ link }}}}}}]}}"#,
        json!(alias)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::Read;
    use super::*;

    fn provider(name: &str, namespace: &str, spec: &Value) -> Value {
        let metadata = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": metadata, "spec": spec})
    }

    #[test]
    fn alerts_are_notifications_by_the_secret_that_the_agent_may_read() {
        let alert = |name: &str, severity: &str, of: Value| json!({"name": name, "severity": severity, "providerRef": of});
        let alerts = json!([
            alert("on-call Slack", "error", json!({"name": "on-call", "namespace": "flagger"})),
            alert("qa", "warn", json!({"name": "qa"})),
            alert("dev", "info", json!({"name": "dev"})),
            {"name": "chat", "providerRef": {"name": "chat"}},
            alert("rocket", "info", json!({"name": "rocket"})),
            alert("bot", "info", json!({"name": "bot"})),
            alert("gone", "info", json!({"name": "gone"})),
        ]);
        let slack = json!({"type": "slack", "channel": "alerts", "username": "flagger", "proxy": "http://proxy:3128",
                           "secretRef": {"name": "on-call-url"}});
        let providers = [
            provider("on-call", "flagger", &slack),
            provider(
                "qa",
                "test",
                &json!({"type": "discord", "address": "https://discord.com/api/webhooks/1/secret"}),
            ),
            provider(
                "dev",
                "test",
                &json!({"type": "msteams", "address": "https://teams.example.com/secret"}),
            ),
            provider("chat", "test", &json!({"type": "gchat", "secretRef": {"name": "chat"}})),
            provider(
                "rocket",
                "test",
                &json!({"type": "rocket", "channel": "#releases", "secretRef": {"name": "rocket"}}),
            ),
            provider(
                "bot",
                "test",
                &json!({"type": "slack", "address": "https://slack.com/api/chat.postMessage"}),
            ),
            provider("other", "test", &json!({"type": "slack", "secretRef": {"name": "other"}})),
        ];
        let read = Read::canary(&json!({"stepWeight": 10, "alerts": alerts}), &providers);
        let key = |key: &str| json!({"secretRef": {"name": SECRET, "key": key}});
        let mut webhook = key("rocket");
        webhook["template"] = json!(
            r##"{"alias": "serin", "channel": "#releases", "text": {{ title }}, "attachments": [{"text": {{ text }}, "title_link": {{ link }}}]}"##
        );
        read.check(
            "notifications",
            &json!([
                {"name": "on-call-slack", "severity": "Critical", "slack": key("on-call-slack")},
                {"name": "qa", "severity": "Warning", "discord": key("qa")},
                {"name": "dev", "teams": key("dev")},
                {"name": "chat", "googleChat": key("chat")},
                {"name": "rocket", "webhook": webhook},
            ]),
        );
        assert_eq!(
            read.left_out,
            "AlertProvider on-call; spec.analysis.alerts[5] (bot); spec.analysis.alerts[6] (gone)"
        );
        for words in [
            "left out: AlertProvider on-call: spec.proxy: the agent sends by no proxy",
            "not needed: AlertProvider on-call: spec.channel: a webhook has a channel of its own",
            "have the agent's operator add https://teams.example.com to allowedAddresses",
            "kubectl create secret generic serin-notifications -n test kubectl patch",
            r#"kubectl patch secret serin-notifications -n test -p "{\"data\":{\"on-call-slack\":\"$(kubectl get secret on-call-url -n flagger -o jsonpath='{.data.address}')\"}}""#,
            r#"{\"stringData\":{\"qa\":\"$(kubectl get alertproviders.flagger.app qa -n test -o jsonpath='{.spec.address}')\"}}""#,
            "not needed: AlertProvider other: no alert names it.",
            "if the Secret of AlertProvider on-call has a token, it is a bot's",
        ] {
            read.says(words);
        }
        assert!(!read.text.contains("/secret"), "an address is shown: {}", read.text);
    }
}
