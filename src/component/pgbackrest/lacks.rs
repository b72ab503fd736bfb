//! What pgBackRest needs of the host and does not find: told before anything is done.

use anyhow::Result;
use camino::Utf8Path;

use super::tool;
use crate::component::Lack;
use crate::fault::{Fault, Kind};
use crate::host::{FileKind, Look, Probe};
use crate::settings::{Certificate, PgBackRest};

/// The first pgBackRest that speaks TLS (release notes of 2.37).
const FIRST_WITH_TLS: (u32, u32) = (2, 37);

/// What is missing, too old or not valid.
pub fn lacks(look: &dyn Look, own: &PgBackRest) -> Result<Vec<Lack>> {
    let program = &own.execpath;
    let tls = own.over_tls().next();
    let mut lacks = Vec::new();
    if look.stat(program)?.is_none() {
        lacks.push(lack(
            program,
            Kind::NotFound,
            format!("program `{program}` is not installed, and the site settings have the section `pgbackrest`"),
            "install the package `pgbackrest`, or set `pgbackrest.execpath` to where it is",
        ));
    } else if tls.is_some() {
        lacks.extend(too_old(look, program)?);
    }
    if let Some(host) = tls {
        lacks.extend(unusable(look, &host.certificate)?);
    }
    for (number, repository) in own.repositories() {
        if let Some(path) = repository
            .storage()
            .and_then(|store| store.ca_file.as_deref())
            && look.stat(path)?.is_none()
        {
            lacks.push(lack(
                path,
                Kind::NotFound,
                format!("`{path}` is missing, which the site settings name for the object store of repository {number}"),
                "put the certificates of the authorities there, or correct `storage.ca_file` of the repository",
            ));
        }
    }
    Ok(lacks)
}

fn lack(path: &Utf8Path, kind: Kind, msg: String, hint: &str) -> Lack {
    Lack {
        path: path.to_owned(),
        fault: Fault::new(kind, msg).hint(hint),
    }
}

fn too_old(look: &dyn Look, program: &Utf8Path) -> Result<Option<Lack>> {
    let text = look.probe(&tool::version(program))?.text();
    let old = version(&text).is_some_and(|version| version < FIRST_WITH_TLS);
    Ok(old.then(|| {
        lack(
            program,
            Kind::Unsupported,
            format!("`{program}` is {}, which does not speak TLS", text.trim()),
            "repositories with `mode: host-tls` need pgBackRest 2.37 or newer on both hosts; `host-ssh` works with this one",
        )
    }))
}

/// The two numbers of `pgBackRest 2.45` (or `2.55.1`, `2.56dev`).
pub fn version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.trim().strip_prefix("pgBackRest ")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Files that the server would refuse, and end, or that its peers would refuse.
fn unusable(look: &dyn Look, own: &Certificate) -> Result<Vec<Lack>> {
    let mut lacks = Vec::new();
    for path in [&own.ca_cert, &own.cert, &own.key] {
        if look.stat(path)?.is_none() {
            lacks.push(lack(
                path,
                Kind::NotFound,
                format!("`{path}` is missing, which the site settings name for the TLS server of pgBackRest"),
                "put it there, or correct `certificate` of the repository",
            ));
        }
    }
    lacks.extend(open_key(look, &own.key)?);
    if lacks.is_empty() {
        lacks.extend(invalid(look, own));
    }
    Ok(lacks)
}

/// The rule of pgBackRest (`tlsServerNew` and `tlsClientNew`); of a link it looks at what that leads to, and so says it itself.
fn open_key(look: &dyn Look, key: &Utf8Path) -> Result<Option<Lack>> {
    let caller = look.caller();
    let stat = look.stat(key)?.filter(|stat| stat.kind == FileKind::File);
    let refused = stat.is_some_and(|stat| {
        let most = if stat.uid == caller.uid { 0o600 } else { 0o640 };
        ![0, caller.uid].contains(&stat.uid) || stat.mode & 0o777 & !most != 0
    });
    let user = &caller.user;
    Ok(refused.then(|| {
        lack(
            key,
            Kind::Denied,
            format!("pgBackRest refuses the key `{key}`: it may be owned by `{user}` with mode 0600, or by root with 0640"),
            &format!("`chown {user} {key} && chmod 0600 {key}`"),
        )
    }))
}

/// Whether the authority stands for the certificate now, as far as there is an `openssl` to ask.
fn invalid(look: &dyn Look, own: &Certificate) -> Option<Lack> {
    let (authority, cert) = (&own.ca_cert, &own.cert);
    let output = look
        .probe(&Probe::verify_certificate(authority, cert))
        .ok()
        .filter(|output| !output.success())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // `error 10 at 0 depth lookup: certificate has expired`
    let why = said
        .lines()
        .find_map(|line| line.strip_prefix("error ")?.split_once("lookup: "))
        .map_or(said.trim(), |(_, why)| why);
    Some(lack(
        cert,
        Kind::Conflict,
        format!("the certificate `{cert}` of the TLS server of pgBackRest is of no use: {why}"),
        &format!("put a valid one there; `openssl verify -CAfile {authority} {cert}` looks at it"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, wanted) in [
            ("pgBackRest 2.45\n", Some((2, 45))),
            ("pgBackRest 2.55.1\n", Some((2, 55))),
            ("pgBackRest 2.56dev\n", Some((2, 56))),
            ("pgBackRest 2\n", None),
            ("2.45\n", None),
            ("", None),
        ] {
            assert_eq!(version(text), wanted, "{text:?}");
        }
        assert!(Some(FIRST_WITH_TLS) > version("pgBackRest 2.36"));
    }
}
