/*!
TLS before istiod, for istioctl, which shows its token to nobody without. An istiod that listens for TLS itself no longer
signs certificates at its plain port, where the proxies here ask for them.
*/
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates::Certificates;
use super::control_plane::XDS_PORT;
use super::inside::HOST;

const PORT: u16 = 15_012;

/// What istioctl has to be told, for this istiod is no pod that it could look for.
pub(super) fn istioctl_env() -> [(&'static str, String); 2] {
    // It does not know the mesh's authority.
    [("ISTIOCTL_XDS_ADDRESS", format!("{HOST}:{PORT}")), ("ISTIOCTL_INSECURE", "true".to_owned())]
}

/// It is closed when this is dropped.
pub(super) struct Door(JoinHandle<()>);

impl Door {
    pub(super) async fn open(certificates: &Certificates) -> Result<Self> {
        let chain =
            CertificateDer::pem_file_iter(certificates.path("server.crt"))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(certificates.path("server.key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((HOST, PORT)).await.context("istiod's port for TLS")?;
        Ok(Self(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let accepted = acceptor.accept(client);
                tokio::spawn(async move {
                    let (mut client, mut istiod) =
                        (accepted.await?, TcpStream::connect((HOST, XDS_PORT)).await?);
                    copy_bidirectional(&mut client, &mut istiod).await
                });
            }
        })))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}
