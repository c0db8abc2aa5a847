/*!
Who is who in the mesh's Kubernetes: an authority, a server, and the administrator.
*/
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::inside::HOST;

/// Files by which servers and clients know each other.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Writes them all.
    pub(super) fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "mesh");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.join("ca.crt"), authority.pem())?;

        let names = ["127.0.0.1", &HOST.to_string(), "10.0.0.1", "localhost", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(ToOwned::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut admin = CertificateParams::default();
        admin.distinguished_name.push(DnType::CommonName, "admin");
        admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (name, params) in [("server", server), ("admin", admin)] {
            let key = KeyPair::generate()?;
            fs::write(folder.join(format!("{name}.crt")), params.signed_by(&key, &authority)?.pem())?;
            fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
        }
        // Not a certificate: what tokens of ServiceAccounts are signed with.
        let tokens = KeyPair::generate()?;
        fs::write(folder.join("tokens.key"), tokens.serialize_pem())?;
        fs::write(folder.join("tokens.pub"), tokens.public_key_pem())?;
        Ok(Self { folder })
    }

    /// The path to one of them, for a command line.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// The administrator's kubeconfig.
    pub(super) fn kubeconfig_of_admin(&self, server: &str) -> Result<PathBuf> {
        let admin =
            json!({"client-certificate": self.path("admin.crt"), "client-key": self.path("admin.key")});
        self.kubeconfig("admin", server, &admin)
    }

    /// A kubeconfig for whoever has `token`.
    pub(super) fn kubeconfig_with_token(&self, name: &str, server: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig(name, server, &json!({"token": token}))
    }

    fn kubeconfig(&self, name: &str, server: &str, user: &Value) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.kubeconfig"));
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mesh", "cluster": {"server": server, "certificate-authority": self.path("ca.crt")}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": name}}],
            "current-context": "mesh",
        });
        fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// The authority's certificate.
    pub(super) fn authority(&self) -> Result<Vec<u8>> {
        Ok(fs::read(Path::new(&self.path("ca.crt")))?)
    }
}
