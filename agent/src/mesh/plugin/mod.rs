/*!
The WasmPlugin (`extensions.istio.io/v1alpha1`): the filter, where it runs, and the policies of all releases
attached there. It is the one object that a step or a rollback writes.

[`plugin`] makes one; [`contents`] reads one back, without losing what another version of Serin wrote into it; and
[`shards`] divides the policies where one object cannot hold them all.
*/
pub mod contents;
pub mod shards;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use serin_policy::{Document, Leases, PolicySpec};
use sha2::{Digest, Sha256};

use super::object::{Edit, Labels, drift as object_drift, labels, metadata, namespace, selects, text};

/// The object's kind as the API has it.
pub const API_VERSION: &str = "extensions.istio.io/v1alpha1";

/// The object's kind.
pub const KIND: &str = "WasmPlugin";

/// Istio puts plugins of a phase in the order of their priority, the highest first, and those without one last.
/// Those who want to see the version header run with a lower one.
const PRIORITY: u32 = 1_000;

/// The annotation with the module that Serin has put into a plugin: what stands in the spec may be anybody's.
const MODULE: &str = "serin.dev/module";

const ABOUT: &str = "Serin's filter and the policies of all Releases attached here. Serin writes it with every step \
                     and undoes edits: change the Release instead.";

/// Where a plugin lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The namespace of the proxies, which is the plugin's too. In Istio's root namespace it means the whole mesh.
    pub namespace: String,
    /// Which of its proxies: sidecars and gateways whose pods have these labels; without labels all of them.
    pub pods: Labels,
}

/// Where proxies get the filter's module from. Always pinned: without a checksum Istio would fetch it again with
/// every weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSource {
    url: String,
    sha256: String,
}

/// A module that nobody can be sure of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadModule {
    /// The address is none that Istio fetches from over the network.
    #[error("{0:?} is no address of a module: write http://…, https://… or oci://…")]
    Url(String),
    /// There is no checksum, neither by itself nor in the address.
    #[error(
        "{0:?} has no checksum: give the module's SHA-256, or for oci the manifest's as oci://…@sha256:…"
    )]
    Unpinned(String),
    /// The checksum is none.
    #[error("{0:?} is no SHA-256: give 64 hexadecimal digits in lower case")]
    Sha256(String),
    /// The address names another checksum than the one given.
    #[error("{url:?} names another checksum than {sha256:?}: give one of them")]
    Contradiction {
        /// The address.
        url: String,
        /// The checksum.
        sha256: String,
    },
}

impl ModuleSource {
    /// A module at `url`. Over http `sha256` is the module's own; for an OCI image it is that of its manifest, not of an
    /// index that leads there, and may be in the address instead.
    ///
    /// # Errors
    /// When Istio would refuse the address, or fetch whatever is there.
    pub fn new(url: &str, sha256: Option<&str>) -> Result<Self, BadModule> {
        let oci = match url.split_once("://") {
            Some(("http" | "https", _)) => false,
            Some(("oci", _)) => true,
            _ => return Err(BadModule::Url(url.to_owned())),
        };
        let pinned = url.rsplit_once("@sha256:").filter(|_| oci).map(|(_, digest)| digest);
        let digest = match (pinned, sha256) {
            (Some(pinned), Some(given)) if pinned != given => {
                return Err(BadModule::Contradiction { url: url.to_owned(), sha256: given.to_owned() });
            }
            (Some(digest), _) | (None, Some(digest)) => digest,
            (None, None) => return Err(BadModule::Unpinned(url.to_owned())),
        };
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digest.len() != 64 || !digest.bytes().all(hex) {
            return Err(BadModule::Sha256(digest.to_owned()));
        }
        Ok(Self { url: url.to_owned(), sha256: digest.to_owned() })
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where agents are reached, if the module is fetched from one.
    pub fn base(&self) -> Option<&str> {
        self.url.strip_suffix(&format!("/module/{}.wasm", self.sha256))
    }
}

impl Attachment {
    /// The name of the plugin that holds `shard` of the policies here, the first being 0. It is the same for the same
    /// place for ever, and no other place in the cluster has it.
    pub fn name(&self, shard: usize) -> String {
        let base = self.base_name();
        if shard == 0 { base } else { format!("{base}-{}", shard + 1) }
    }

    /// Which shard the plugin called `name` holds, if it is one of those here.
    pub fn shard(&self, name: &str) -> Option<usize> {
        match name.strip_prefix(&self.base_name())? {
            "" => Some(0),
            rest => {
                let shard = rest.strip_prefix('-')?.parse::<usize>().ok()?.checked_sub(1)?;
                (self.name(shard) == name).then_some(shard)
            }
        }
    }

    /// Whether every proxy at `other` runs the plugins here as well.
    fn covers(&self, other: &Self) -> bool {
        self.namespace == other.namespace && selects(&self.pods, &other.pods)
    }

    fn base_name(&self) -> String {
        let what = if self.pods.is_empty() { "all" } else { "pods" };
        let digest = Sha256::digest(json!([self.namespace, ["pods", self.pods]]).to_string());
        let hash = digest.iter().take(4).fold(0_u32, |sum, &byte| (sum << 8) | u32::from(byte));
        format!("serin-{what}-{hash:08x}")
    }
}

/// Those of `attachments` that reach proxies which no other one does, each once.
///
/// A plugin for a namespace runs in the gateways there as well. With one of its own, a gateway would count every request
/// twice, and give a newcomer two ids in two cookies, of which only one is theirs the next time.
pub fn uncovered(mut attachments: Vec<Attachment>) -> Vec<Attachment> {
    attachments.sort_unstable();
    attachments.dedup();
    let all = attachments.clone();
    attachments.retain(|one| !all.iter().any(|other| other != one && other.covers(one)));
    attachments
}

/// Where the plugin `object` lives, if it is one of Serin's.
pub fn attachment_of(object: &Value) -> Option<Attachment> {
    let pods = labels(object, "/spec/selector/matchLabels");
    let attachment = Attachment { namespace: namespace(object).to_owned(), pods };
    // The name vouches for it: whoever has edited the selector has not made another plugin of it.
    attachment.shard(text(object, "/metadata/name")).is_some().then_some(attachment)
}

/// A policy as it stands in a plugin.
pub fn policy_json(policy: &PolicySpec) -> Value {
    json!(policy)
}

/// The plugin with `shard` of the policies at `attachment` and their leases, complete, for server-side apply.
///
/// Two plugins of Serin can meet in one proxy: two shards, or one for a namespace and one for a gateway in it. They
/// do not disturb each other as long as no host is in both. The filter does nothing at all to a request whose host
/// no policy of its document answers for, so a second one leaves the first one's header as it is. But both would
/// assign, count and write where both knew the host: see [`shards`] and [`uncovered`]. And both run in *one* virtual
/// machine, for Istio gives a plugin no other than its code asks for; what tells them apart there is the root id, so it
/// is the object's own name, and the module has to keep one table of policies for each root id: with one for all, the
/// plugin that was configured last would answer for both. (A VM's environment does not count: it is no part of what
/// Envoy knows a VM by.)
pub fn plugin(
    attachment: &Attachment,
    shard: usize,
    module: &ModuleSource,
    policies: &[Value],
    leases: &Leases,
) -> Value {
    let name = attachment.name(shard);
    let mut spec = json!({
        "url": module.url,
        "sha256": module.sha256,
        "imagePullPolicy": "IfNotPresent",
        // Without the module requests pass as they are: to stable, the default route.
        "failStrategy": "FAIL_OPEN",
        // After authentication and authorisation: whoever is turned away is never assigned.
        "phase": "STATS",
        "priority": PRIORITY,
        // Where requests leave, and not where they arrive as well: there no route is chosen any more. Gateways count as
        // clients.
        "match": [{"mode": "CLIENT"}],
        "pluginName": name,
        "pluginConfig": {"version": Document::VERSION, "policies": policies},
    });
    if !leases.is_empty() {
        spec["pluginConfig"]["leases"] = json!(leases);
    }
    if !attachment.pods.is_empty() {
        spec["selector"] = json!({"matchLabels": attachment.pods});
    }
    let mut metadata = metadata(&attachment.namespace, &name, None, ABOUT);
    metadata["annotations"][MODULE] = format!("{} {}", module.sha256, module.url).into();
    json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
}

/// The module that Serin has put into the plugin `object`, whatever somebody has made of its spec since.
pub fn module_of(object: &Value) -> Option<ModuleSource> {
    let written = object.get("metadata")?.get("annotations")?.get(MODULE)?.as_str()?;
    let (sha256, url) = written.split_once(' ')?;
    ModuleSource::new(url, Some(sha256)).ok()
}

/// Changes `plugin` in a way that makes every proxy fetch the module once more if it has none.
///
/// A proxy whose fetch has failed tries again with the next push and not before. An annotation makes no push: istiod
/// compares the specs (`NeedsPush`), unless a label or annotation has `istio.io` in its name. So the time is written
/// beside the policies, where the filter does not look.
pub fn touch(plugin: &mut Value, now: jiff::Timestamp) {
    if let Some(Value::Object(config)) = plugin.pointer_mut("/spec/pluginConfig") {
        config.insert(TOUCHED.to_owned(), now.to_string().into());
    }
}

const TOUCHED: &str = "touched";

/// The fields of the plugin `found` that are not as Serin wrote them in `wanted`. A touch is no edit.
pub fn drift(wanted: &Value, found: &Value) -> Vec<Edit> {
    let mut edits = object_drift(wanted, found);
    edits.retain(|edit| edit.path != format!("spec.pluginConfig.{TOUCHED}"));
    edits
}
