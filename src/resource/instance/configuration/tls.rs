//! The files of TLS. A server that is told to reload goes on with the certificate that it has when the new one cannot be
//! read, and says so only in its log (be-secure-openssl.c, `be_tls_init`); it would not start again. So they are looked
//! for before.

use anyhow::Result;

use super::Seen;
use crate::host::Look;
use crate::pg::conf::Conf;
use crate::pg::guc;
use crate::resource::instance::target::Target;

/// Parameters that name a file, and the names of those that are needed even when nothing is said.
const FILES: &[(&str, &str)] = &[
    ("ssl_cert_file", "server.crt"),
    ("ssl_key_file", "server.key"),
    ("ssl_ca_file", ""),
    ("ssl_crl_file", ""),
    ("ssl_dh_params_file", ""),
];

/// Files that are not there, of an instance that stands; nothing where TLS is off or not concerned.
pub fn missing(
    look: &dyn Look,
    target: &Target,
    seen: &Seen,
    conf: &Conf,
    changed: &[String],
) -> Result<Vec<String>> {
    let value = |name: &str| seen.auto.get(name).or_else(|| conf.get(name));
    let concerned = changed.iter().any(|name| name.starts_with("ssl"));
    if !concerned || !value("ssl").is_some_and(|on| guc::is_true(&on)) {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for (name, default) in FILES {
        let file = value(name).unwrap_or_else(|| (*default).to_owned());
        // Relative to the data directory; nothing, and what is not wanted, is an empty name.
        let path = target.paths.datadir.join(&file);
        if !file.is_empty() && look.read(&path)?.is_none() {
            missing.push(format!("`{path}`, which is `{name}`, does not exist"));
        }
    }
    Ok(missing)
}
