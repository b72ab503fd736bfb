//! What pgBackRest needs on the host: its configuration, its directories, and, for repositories that are reached over TLS, its
//! server, which the repository host speaks to.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::Utf8Path;

use crate::component::item::{Item, Part, Purpose, What, is_own};
use crate::component::service::Service;
use crate::host::Command;
use crate::manager::word;
use crate::settings::{Certificate, EntryValue, PgBackRest, Repository, Settings, expand};

/// The unit of the TLS server.
pub const UNIT: &str = "pgsocle-pgbackrest.service";
/// The rules for the directory of the locks.
const RULES: &str = "pgsocle-pgbackrest.conf";

const USER_UNIT: &str = include_str!("../../templates/pgbackrest/user.service");
const SYSTEM_UNIT: &str = include_str!("../../templates/pgbackrest/system.service");
const LOGROTATE: &str = include_str!("../../templates/logrotate/postgresql.conf");

const WRITTEN: &str = "# Written by pgsocle; what is changed here is overwritten.\n[global]\n";

/// In the order in which they are made.
pub fn items(site: &Settings, own: &PgBackRest) -> Vec<Item> {
    let directory = |path: &Utf8Path, purpose| Item::directory(site, path, 0o750, purpose);
    let mut items: Vec<Item> = Item::rules(site, RULES, &own.lockpath, 0o750)
        .into_iter()
        .collect();
    items.extend([
        directory(&own.configpath, Purpose::Component),
        directory(&own.configpath.join("conf.d"), Purpose::Component),
        directory(&own.logpath, Purpose::Component),
        directory(&own.spoolpath, Purpose::Component),
        directory(&own.lockpath, Purpose::Component),
    ]);
    for (_, repository) in own.repositories() {
        if let Repository::Path(repository) = repository {
            items.push(directory(&repository.path, Purpose::Backups));
        }
    }
    let file = |name: &str, what, purpose| file(&own.configpath, name, what, purpose);
    let plain = |content| What::File {
        content,
        mode: 0o640,
    };
    let (configuration, secrets) = configuration(own);
    items.push(file(
        CONFIGURATION,
        plain(configuration),
        Purpose::Component,
    ));
    items.extend(secrets.map(|secrets| file(SECRETS, secrets, Purpose::Component)));
    if let Some(server) = server(own) {
        let purpose = Purpose::Service(UNIT);
        // systemd knows the unit before it is told of what that reads.
        items.extend(unit(site, own));
        items.push(file(SERVER, plain(server), purpose));
    }
    items.extend(rotation(site, own));
    items
}

/// It lies in a directory that is the system user's, wherever that is, and servers read it.
fn file(directory: &Utf8Path, name: &str, what: What, purpose: Purpose) -> Item {
    Item {
        path: directory.join(name),
        what,
        purpose,
        root: false,
    }
}

/// Files that are there with other settings only. Without any, those of all stanzas stay: servers may go on to archive.
pub fn former(site: &Settings) -> Vec<Item> {
    let own = site.pgbackrest.as_ref();
    let default = site.prefix.join("etc/pgbackrest");
    let directory = own.map_or(&default, |own| &own.configpath);
    let server = own.and_then(server).is_none().then(|| {
        let what = What::File {
            content: WRITTEN.to_owned(),
            mode: 0o640,
        };
        file(directory, SERVER, what, Purpose::Service(UNIT))
    });
    let without = own.is_some_and(|own| configuration(own).1.is_none());
    let secrets = without.then(|| {
        let parts = vec![Part::Plain(WRITTEN.to_owned())];
        let what = What::Private { parts };
        file(directory, SECRETS, what, Purpose::Component)
    });
    server.into_iter().chain(secrets).collect()
}

/// What holds for every stanza.
pub const CONFIGURATION: &str = "pgbackrest.conf";
/// The configuration of the TLS server.
const SERVER: &str = "server.conf";
/// Secrets of the repositories. No stanza has a name like this, so that it is in the place of none.
pub const SECRETS: &str = "conf.d/@repositories.conf";

/// The global section of `pgbackrest.conf`; what of it is secret is a file of its own that pgBackRest reads with it.
fn configuration(own: &PgBackRest) -> (String, Option<What>) {
    let mut plain = WRITTEN.to_owned();
    let mut secret = vec![Part::Plain(WRITTEN.to_owned())];
    for entry in own.global() {
        let option = entry.option;
        match entry.value {
            EntryValue::Plain(value) => _ = writeln!(plain, "{option}={value}"),
            EntryValue::ContentOf { setting, file } => secret.extend([
                Part::Plain(format!("{option}=")),
                Part::ContentOf { setting, file },
                Part::Plain("\n".to_owned()),
            ]),
        }
    }
    let secret = (secret.len() > 1).then_some(What::Private { parts: secret });
    (plain, secret)
}

/// The configuration of the server that repository hosts speak to.
fn server(own: &PgBackRest) -> Option<String> {
    let host = own.over_tls().next()?;
    let certificate = &host.certificate;
    let names: BTreeSet<&str> = own.over_tls().map(|host| &*host.cn).collect();
    let mut lines = vec![
        format!("log-path={}", own.logpath),
        "tls-server-address=*".to_owned(),
    ];
    lines.extend(names.iter().map(|name| format!("tls-server-auth={name}=*")));
    lines.extend([
        format!("tls-server-ca-file={}", certificate.ca_cert),
        format!("tls-server-cert-file={}", certificate.cert),
        format!("tls-server-key-file={}", certificate.key),
        format!("tls-server-port={}\n", host.port),
    ]);
    Some(WRITTEN.to_owned() + &lines.join("\n"))
}

fn unit(site: &Settings, own: &PgBackRest) -> Option<Item> {
    let (systemd, _) = (site.systemd.as_ref()?, site.service_manager?);
    let template = if systemd.user { USER_UNIT } else { SYSTEM_UNIT };
    let content = filled(
        template,
        &[
            ("user", &site.sysuser.user),
            ("group", &site.sysuser.group),
            ("execpath", &word(&own.execpath)),
            ("config", &word(&own.configpath.join(SERVER))),
        ],
    );
    Some(Item {
        path: systemd.unit_path.join(UNIT),
        what: What::File {
            content,
            mode: 0o644,
        },
        purpose: Purpose::Unit,
        root: !systemd.user,
    })
}

/// Rotation of pgBackRest's logs, as of the servers'.
fn rotation(site: &Settings, own: &PgBackRest) -> Option<Item> {
    let directory = &site.logrotate.as_ref()?.configdir;
    let content = filled(
        LOGROTATE,
        &[
            ("user", &site.sysuser.user),
            ("group", &site.sysuser.group),
            ("logpath", own.logpath.as_str()),
        ],
    );
    let path = directory.join("pgsocle-pgbackrest.conf");
    let root = !is_own(site, directory);
    Some(Item {
        path,
        what: What::File {
            content,
            mode: 0o644,
        },
        purpose: Purpose::Logging,
        root,
    })
}

/// A template of ours, whose variables are all there.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    expand(template, values).unwrap_or_default()
}

/// The TLS server.
pub fn service(own: &PgBackRest) -> Option<Service> {
    let host = own.over_tls().next()?;
    let config = own.configpath.join(SERVER);
    let Certificate { ca_cert, cert, key } = &host.certificate;
    Some(Service {
        unit: UNIT,
        title: "the TLS server of pgBackRest",
        port: host.port.get(),
        command: Command::new(&*own.execpath)
            .arg("server")
            .arg(format!("--config={config}")),
        reads: vec![ca_cert.clone(), cert.clone(), key.clone(), config],
    })
}
