//! The files of TLS. A server that is told to reload goes on with the certificate that it has when the new one cannot be
//! read, and says so only in its log (be-secure-openssl.c, `be_tls_init`); it would not start again. So they are looked
//! for before, and PostgreSQL's programs try whether they are of any use.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::host::{Command, Look};
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

/// Values of parameters, by their names in lower case.
pub type Values = BTreeMap<String, String>;

fn is_on(values: &Values) -> bool {
    values.get("ssl").is_some_and(|on| guc::is_true(on))
}

/// Files that are not there, of an instance that stands; nothing where TLS is off.
pub fn missing(look: &dyn Look, target: &Target, values: &Values) -> Result<Vec<String>> {
    if !is_on(values) {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for (name, default) in FILES {
        let file = values.get(*name).map_or(*default, String::as_str);
        // Relative to the data directory; nothing, and what is not wanted, is an empty name.
        let path = target.paths.datadir.join(file);
        if !file.is_empty() && look.read(&path)?.is_none() {
            missing.push(format!("`{path}`, which is `{name}`, does not exist"));
        }
    }
    Ok(missing)
}

/// What a start would say of the certificate, its key and whatever else TLS is given. A server is tried on a directory that has
/// no more of the cluster than what is looked at before TLS (`PostmasterMain` in postmaster.c), so that it ends by itself in
/// any case: with TLS as it does without, or with what is wrong with it. A command that prints a passphrase is not run for that.
pub fn refused(look: &dyn Look, target: &Target, values: &Values) -> Result<Option<String>> {
    let command = values.get("ssl_passphrase_command");
    let asks = command.is_some_and(|command| !command.is_empty());
    let control = look.read(&target.paths.datadir.join("global/pg_control"))?;
    let (true, false, Some(control)) = (is_on(values), asks, control) else {
        return Ok(None);
    };
    let files = [
        (
            "PG_VERSION",
            format!("{}\n", target.paths.version).into_bytes(),
        ),
        ("global/pg_control", control),
        ("postgresql.conf", Vec::new()),
    ];
    let end = |options: &[String]| {
        let mut command = Command::new(target.bindir.join("postgres"))
            .env("LC_ALL", "C")
            .args([
                "-D",
                "{}",
                "-c",
                "listen_addresses=",
                "-c",
                "unix_socket_directories=",
                "-c",
                "shared_buffers=128kB",
            ]);
        for option in options {
            command = command.args(["-c", option]);
        }
        let output = look.scratch(&files, &command)?;
        anyhow::Ok(last_word(&String::from_utf8_lossy(&output.stderr)))
    };
    let said = end(&options(target, values))?;
    Ok(if said == end(&[])? { None } else { said })
}

/// Everything that is said of TLS, with the names of files in full.
fn options(target: &Target, values: &Values) -> Vec<String> {
    let defaults = FILES.iter().map(|(name, default)| (*name, *default));
    let mut all: BTreeMap<&str, &str> = defaults.collect();
    let said = values.iter().filter(|(name, _)| name.starts_with("ssl"));
    all.extend(said.map(|(name, value)| (name.as_str(), value.as_str())));
    let option = |(name, value): (&str, &str)| {
        let is_path = name == "ssl_crl_dir" || FILES.iter().any(|(file, _)| *file == name);
        if is_path && !value.is_empty() {
            format!("{name}={}", target.paths.datadir.join(value))
        } else {
            format!("{name}={value}")
        }
    };
    all.into_iter().map(option).collect()
}

/// Why a server ended.
fn last_word(words: &str) -> Option<String> {
    let said = words
        .lines()
        .filter_map(|line| line.split_once("FATAL:  "))
        .next_back();
    said.map(|(_, said)| said.replace('"', "`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_server_ended() {
        let words = "2026-11-28 03:43:47.814 GMT [28825] LOG:  skipping missing configuration file \"{}/postgresql.auto.conf\"\n\
                     2026-11-28 03:43:47.816 GMT [28825] FATAL:  could not load server certificate file \"/x.crt\": no start line\n\
                     2026-11-28 03:43:47.818 GMT [28825] LOG:  database system is shut down\n";
        assert_eq!(
            last_word(words).as_deref(),
            Some("could not load server certificate file `/x.crt`: no start line")
        );
        assert_eq!(last_word("postgres: cannot be run\n"), None);
    }
}
