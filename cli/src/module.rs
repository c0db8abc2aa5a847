/*!
`serin module push`: the filter's module in a registry, as an image that Istio's proxies pull.

Istio takes an image of one layer with the file `plugin.wasm` in it, and wants it by the digest of its manifest.
*/
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use flate2::Compression;
use flate2::write::GzEncoder;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use serde_json::json;
use serin_agent::MODULE;
use serin_agent::http::install_crypto;

/// The file that Istio looks for.
const FILE: &str = "plugin.wasm";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Push the filter's module to a registry, for `serin controller --module-image`, and print its name there.
    Push(Args),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Credentials are those of `docker login`, in ~/.docker/config.json or $DOCKER_CONFIG."
)]
pub(super) struct Args {
    /// Where to, as `oci://registry.example.com/serin/filter:0.1.0`.
    #[arg(value_name = "URL")]
    to: String,
    /// Speak HTTP to the registry, without TLS.
    #[arg(long)]
    plain_http: bool,
}

pub(super) async fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Push(Args { to, plain_http }) = command;
    let reference = reference(to)?;
    install_crypto();
    let protocol = if *plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
    let client =
        Client::try_from(ClientConfig { protocol, use_monolithic_push: true, ..ClientConfig::default() })?;
    let (layer, config) = image()?;
    let layers = [layer];
    let manifest = OciImageManifest::build(&layers, &config, None);
    let credentials = credentials(reference.resolve_registry())?;
    let pushed = client.push(&reference, &layers, config, &credentials, Some(manifest)).await;
    pushed.with_context(|| format!("cannot push to {to}"))?;
    // As the registry has it: proxies ask for it by that.
    let digest = client.fetch_manifest_digest(&reference, &credentials).await;
    let digest = digest.with_context(|| format!("cannot read {to}"))?;
    println!("oci://{}/{}@{digest}", reference.registry(), reference.repository());
    Ok(ExitCode::SUCCESS)
}

fn reference(to: &str) -> anyhow::Result<Reference> {
    let Some(name) = to.strip_prefix("oci://") else {
        bail!("{to:?} is no address of an image: write oci://registry.example.com/serin/filter:0.1.0")
    };
    let reference: Reference = name.parse().with_context(|| format!("{to:?}"))?;
    if reference.digest().is_some() {
        bail!("{to:?} names a digest, which only the registry can give: write a tag instead")
    }
    Ok(reference)
}

/// The layer with the module, and the image's configuration. The same module makes the same image.
fn image() -> anyhow::Result<(ImageLayer, Config)> {
    let mut header = tar::Header::new_ustar();
    header.set_size(MODULE.len().try_into()?);
    header.set_mode(0o644);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, FILE, MODULE)?;
    let tar = tar.into_inner()?;
    let uncompressed = ImageLayer::oci_v1(tar.clone(), None).sha256_digest();
    let config = json!({
        "architecture": "wasm",
        "os": "wasi",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [uncompressed]},
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&tar)?;
    let layer = ImageLayer::new(gzip.finish()?, IMAGE_LAYER_GZIP_MEDIA_TYPE.to_owned(), None);
    Ok((layer, Config::new(config.to_string(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None)))
}

/// Who pushes, as far as that is known.
fn credentials(registry: &str) -> anyhow::Result<RegistryAuth> {
    match get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            bail!("{registry}: docker knows an identity token only: log in by a password or a helper")
        }
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(error).with_context(|| format!("{registry}: docker's credentials")),
    }
}
