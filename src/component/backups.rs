//! What components that take backups have in common.

pub mod archiving;
pub mod stanza;

use std::collections::BTreeMap;

use anyhow::Result;

use super::View;
use crate::backup::Kind;
use crate::backup::schedule::{Schedule, Scheduling, Timing};
use crate::bail_fault;
use crate::manifest::{HbaMethod, HbaRecord, IdentMapping, Presence};
use crate::settings;

/// Refuses a name of a stanza that is not plain: it becomes part of paths and of shell commands.
pub fn check_name(stanza: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if stanza.is_empty() || stanza.starts_with(['-', '.']) || !stanza.chars().all(plain) {
        bail_fault!(
            Input,
            "stanza name `{stanza}` is not valid";
            "use letters, digits, `_`, `-` and `.`"
        );
    }
    Ok(())
}

/// How the backup role comes in, to this database or for `replication`: as the system user, without a password.
pub fn access(view: &View, database: &str, state: Presence) -> (HbaRecord, IdentMapping) {
    let role = &view.site.postgresql.backuprole.name;
    let map = "pgsocle".to_owned();
    let record = HbaRecord {
        connection: None,
        database: database.to_owned(),
        user: crate::pg::hba::name(role),
        method: HbaMethod::Peer,
        options: Some([("map".to_owned(), map.clone())].into()),
        ldapbindpasswd: None,
        radiussecrets: None,
        state,
    };
    let mapping = IdentMapping {
        map,
        system_user: view.site.sysuser.user.clone(),
        role: role.clone(),
        state,
    };
    (record, mapping)
}

/// The times of a schedule; `place` is where it stands.
pub fn timings(
    schedule: Option<&settings::Schedule>,
    place: &str,
) -> Result<BTreeMap<Kind, Timing>> {
    let Some(schedule) = schedule else {
        return Ok(BTreeMap::new());
    };
    let all = [
        (Kind::Full, &schedule.full),
        (Kind::Diff, &schedule.diff),
        (Kind::Incr, &schedule.incr),
    ];
    let said = all
        .into_iter()
        .filter_map(|(kind, text)| Some((kind, text.as_ref()?)));
    said.map(|(kind, text)| {
        let key = format!("{place}.{}", kind.name());
        Ok((kind, Timing::parse(&key, text)?))
    })
    .collect()
}

/// When backups are taken by themselves: as is said of the instance, and else as the site does it.
pub fn scheduling(
    own: BTreeMap<Kind, Timing>,
    site: BTreeMap<Kind, Timing>,
    site_says: bool,
) -> Scheduling {
    let times = site.into_iter().filter_map(|(kind, timing)| match timing {
        Timing::At(calendar) => Some((kind, calendar)),
        Timing::Never => None,
    });
    Scheduling::As(Schedule {
        own,
        site: times.collect(),
        site_says,
    })
}
