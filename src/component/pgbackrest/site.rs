//! What pgBackRest needs on the host: its configuration, and its directories.

use camino::Utf8Path;

use crate::component::item::{Item, Purpose};
use crate::settings::{PgBackRest, Repository, Settings};

/// In the order in which they are made.
pub fn items(site: &Settings, own: &PgBackRest) -> Vec<Item> {
    let directory = |path: &Utf8Path, purpose| Item::directory(site, path, 0o750, purpose);
    let mut items = vec![
        directory(&own.configpath, Purpose::Component),
        directory(&own.configpath.join("conf.d"), Purpose::Component),
        directory(&own.logpath, Purpose::Logs),
        directory(&own.spoolpath, Purpose::Component),
        directory(&own.lockpath, Purpose::Component),
    ];
    if let Repository::Path(repository) = &own.repository {
        items.push(directory(&repository.path, Purpose::Backups));
    }
    let path = own.configpath.join("pgbackrest.conf");
    items.push(Item::file(
        site,
        &path,
        configuration(own),
        0o640,
        Purpose::Component,
    ));
    items
}

/// The global section of `pgbackrest.conf`.
fn configuration(own: &PgBackRest) -> String {
    let mut lines = vec![
        "# Written by pgsocle; what is changed here is overwritten.".to_owned(),
        "[global]".to_owned(),
        format!("lock-path={}", own.lockpath),
        format!("log-path={}", own.logpath),
        format!("spool-path={}", own.spoolpath),
    ];
    match &own.repository {
        Repository::Path(repository) => {
            let retention = &repository.retention;
            lines.push(format!("repo1-path={}", repository.path));
            lines.push(format!("repo1-retention-archive={}", retention.archive));
            lines.push(format!("repo1-retention-diff={}", retention.diff));
            lines.push(format!("repo1-retention-full={}", retention.full));
        }
        Repository::HostTls(_) | Repository::HostSsh(_) => {}
    }
    lines.join("\n") + "\n"
}
