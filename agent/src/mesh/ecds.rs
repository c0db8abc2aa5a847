/*!
The file through which plain Envoys get their filter and its policies: Envoy's extension config discovery (ECDS)
from a path, which is what istiod does over gRPC.

Envoy picks the file up when another is renamed over it, and never when it is written in place. What the file says
is the truth about the weight: whatever the agent remembers, this is what proxies run.
*/
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use serin_policy::{Document, Leases, Policy, Proxy, Refusal, Table};
use sha2::{Digest, Sha256};

use super::bootstrap::{ECDS_FILE, FILTER};
use crate::MODULE;
use crate::folder_lock::FolderLock;

const WASM_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// A folder that Envoys read their filter from. Only one agent at a time holds it.
#[derive(Debug)]
pub struct EcdsDir {
    folder: PathBuf,
    module: PathBuf,
    _lock: FolderLock,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EcdsError {
    /// A file of the folder cannot be read or written.
    #[error("{}: cannot {what}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another agent drives the same Envoys.
    #[error("{}: another agent holds this folder: stop it, or give --ecds-dir another one", .0.display())]
    Held(PathBuf),
}

/// What the file says.
#[derive(Debug)]
pub enum Contents {
    /// There is no file yet.
    Nothing,
    /// Whatever is in the file, it is not a configuration of the filter.
    Unreadable(String),
    /// A configuration of the filter, as the filter itself would take it.
    Policies {
        /// The policies that are in order.
        table: Box<Table>,
        /// Until when those hold that hold only for so long.
        leases: Leases,
        /// What is wrong with the others.
        refusals: Vec<Refusal>,
    },
}

impl EcdsDir {
    /// Opens the folder, makes it if need be, and puts the module into it.
    ///
    /// # Errors
    /// When the folder cannot be written or another agent holds it.
    pub fn open(folder: &Path) -> Result<Self, EcdsError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| EcdsError::Io { what, path, source }
        };
        fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
        // Envoy resolves a relative path from its own working directory, not from ours.
        let folder = fs::canonicalize(folder).map_err(io("resolve the folder", folder))?;
        let lock_path = folder.join(".serin.lock");
        let lock = FolderLock::take(&lock_path).map_err(io("make the lock", &lock_path))?;
        let Some(lock) = lock else { return Err(EcdsError::Held(folder)) };
        // The name holds the content, so a running Envoy never sees the module change under its path.
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(MODULE));
        let module = folder.join(format!("serin-{:08x}.wasm", u32::from_be_bytes([a, b, c, d])));
        if !module.exists() {
            replace(&module, MODULE).map_err(io("write the module", &module))?;
        }
        Ok(Self { folder, module, _lock: lock })
    }

    /// The file that Envoys read.
    pub fn file(&self) -> PathBuf {
        self.folder.join(ECDS_FILE)
    }

    /// What the file says now.
    ///
    /// # Errors
    /// When there is a file and it cannot be read.
    pub fn read(&self) -> Result<Contents, EcdsError> {
        read(&self.folder)
    }

    /// Gives the Envoys `document`: a temporary file is renamed over the present one, so that no Envoy ever sees
    /// half of it, and none is left with an older one after a crash of the machine.
    ///
    /// # Errors
    /// When the file cannot be written; then the old one is still there.
    pub fn write(&self, document: &Document) -> Result<(), EcdsError> {
        let path = self.file();
        let revision = document.policies.iter().map(|policy| policy.revision).max().unwrap_or_default();
        let resource = json!({
            "version_info": revision.to_string(),
            "resources": [self.resource(document)],
        });
        replace(&path, format!("{resource:#}\n").as_bytes()).map_err(|source| EcdsError::Io {
            what: "write it",
            path,
            source,
        })
    }

    fn resource(&self, document: &Document) -> Value {
        json!({
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": FILTER,
            "typed_config": {
                "@type": WASM_TYPE,
                "config": {
                    "name": FILTER,
                    "root_id": FILTER,
                    // Should the module ever fail, requests pass without it: to stable, the default route.
                    "failure_policy": "FAIL_OPEN",
                    "vm_config": {
                        "vm_id": FILTER,
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": self.module}},
                    },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": json!(document).to_string(),
                    },
                },
            },
        })
    }
}

/// What the file in `folder` says now.
///
/// # Errors
/// When there is a file and it cannot be read.
pub fn read(folder: &Path) -> Result<Contents, EcdsError> {
    let path = folder.join(ECDS_FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(contents(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contents::Nothing),
        Err(source) => Err(EcdsError::Io { what: "read it", path, source }),
    }
}

impl Contents {
    /// The policy of `release` that is in force.
    pub fn policy(&self, release: &str) -> Option<&Policy> {
        match self {
            Self::Policies { table, .. } => table.policy(release).map(AsRef::as_ref),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }

    /// The lease of `release` that is written there, in seconds since 1970.
    pub fn lease(&self, release: &str) -> Option<u64> {
        match self {
            Self::Policies { leases, .. } => leases.until(release),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }

    /// When the canary of `release` loses its users if no agent is heard of, in seconds since 1970, if ever.
    pub fn until(&self, release: &str) -> Option<u64> {
        match self {
            Self::Policies { table, .. } => table.until_of(release),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }

    /// What a proxy that refuses this file must be complaining of, in one line.
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Unreadable(why) => Some(why.clone()),
            Self::Policies { refusals, .. } => {
                let lines: Vec<_> = refusals.iter().map(ToString::to_string).collect();
                (!lines.is_empty()).then(|| lines.join("; "))
            }
        }
    }
}

fn contents(bytes: &[u8]) -> Contents {
    #[derive(Deserialize)]
    struct File {
        resources: Vec<Resource>,
    }
    #[derive(Deserialize)]
    struct Resource {
        typed_config: Typed,
    }
    #[derive(Deserialize)]
    struct Typed {
        config: Plugin,
    }
    #[derive(Deserialize)]
    struct Plugin {
        configuration: Configuration,
    }
    #[derive(Deserialize)]
    struct Configuration {
        value: String,
    }
    match serde_json::from_slice::<File>(bytes) {
        Err(error) => Contents::Unreadable(format!("not an ECDS file of the filter: {error}")),
        Ok(file) => match file.resources.as_slice() {
            [one] => {
                let document = one.typed_config.config.configuration.value.as_bytes();
                let (table, refusals) = Table::read(document, &Proxy::default(), &Table::default());
                Contents::Policies { table: Box::new(table), leases: Leases::of_document(document), refusals }
            }
            others => Contents::Unreadable(format!("{} resources where there should be one", others.len())),
        },
    }
}

/// Writes `bytes` to a file beside `path`, down to the disk, and renames it over `path`.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // Envoy may well run as another user: it must be able to read what we made for it.
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
