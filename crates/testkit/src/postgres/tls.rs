//! Certificates for a server: an authority of its own, and what that signed.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::cluster::Cluster;
use super::{OrPanic, account, text};

/// Who comes by the network needs TLS and a password.
///
/// `md5` means SCRAM too, where the server keeps the password so; before PostgreSQL 14 it does not.
const ACCESS: &str = "local all all trust\nhostssl all all all md5\n";

/// Gives the cluster a certificate, and settings that ask for TLS. Returns the authority's certificate.
pub(super) fn set_up(cluster: &mut Cluster) -> PathBuf {
    let made = Certificates::make().or_panic("make certificates");
    let folder = cluster.folder.join("tls");
    account::make_folder(&folder, 0o755);
    let write = |name: &str, content: &str, mode| {
        let path = folder.join(name);
        account::write_file(&path, content, mode);
        path
    };
    let access = write("access.conf", ACCESS, 0o644);
    let certificate = write("server.pem", &made.server, 0o644);
    let key = write("server.key", &made.key, 0o600);
    let files = [("hba_file", &access), ("ssl_cert_file", &certificate), ("ssl_key_file", &key)];
    let files = files.map(|(name, path)| (name.to_owned(), text(path).to_owned()));
    cluster.settings.push(("ssl".to_owned(), "on".to_owned()));
    cluster.settings.extend(files);
    write("ca.pem", &made.authority, 0o644)
}

/// All in PEM.
struct Certificates {
    authority: String,
    server: String,
    key: String,
}

impl Certificates {
    fn make() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "authority of enact's tests");
        let authority_key = KeyPair::generate()?;
        let authority_signed = authority.self_signed(&authority_key)?;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate()?;
        let server = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
        Ok(Self { authority: authority_signed.pem(), server: server.pem(), key: key.serialize_pem() })
    }
}
