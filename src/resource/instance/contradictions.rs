//! What can be said against a wish without looking at anything.

use anyhow::Result;

use crate::bail_fault;
use crate::manifest::{DatabaseSpec, Presence, RoleSpec, TablespaceSpec};
use crate::resource::instance::desired::{InstanceSpec, State};
use crate::resource::instance::lookup;
use crate::resource::protection;

pub fn check(spec: &InstanceSpec) -> Result<()> {
    let name = &spec.name;
    if let Some((version, own)) = name.split_once('/')
        && version.parse::<u16>().is_ok()
    {
        bail_fault!(Input, "instance name `{name}` is not valid"; "the name is `{own}`; give the major as the `version` (`--version {version}`)");
    }
    if !lookup::valid_name(name) {
        bail_fault!(
            Input,
            "instance name `{name}` is not valid";
            "use letters, digits and underscores (it becomes part of paths, units and log file names); \
             a cluster with another name is adopted under one like this, with its `datadir`"
        );
    }
    check_adoption(spec)?;
    if let Some(port) = spec.port
        && !(1..=65535).contains(&port)
    {
        bail_fault!(Input, "instance `{name}`: port {port} is out of range"; "ports are from 1 to 65535");
    }
    if spec
        .settings
        .iter()
        .flatten()
        .any(|(name, _)| name.eq_ignore_ascii_case("port"))
    {
        bail_fault!(Input, "instance `{name}`: `port` does not belong in `settings`"; "give it as the option `port`");
    }
    for unsafe_name in ["data_directory", "config_file", "hba_file", "ident_file"] {
        if spec
            .settings
            .iter()
            .flatten()
            .any(|(name, _)| name.eq_ignore_ascii_case(unsafe_name))
        {
            bail_fault!(
                Input,
                "instance `{name}`: `{unsafe_name}` cannot be set: the site settings say where files are"
            );
        }
    }
    let unsupported = [
        ("standby", spec.standby.is_some()),
        (
            "replication_slots",
            spec.replication_slots
                .as_ref()
                .is_some_and(|slots| !slots.is_empty()),
        ),
        ("temboard", spec.temboard.is_some()),
        ("powa", spec.powa.is_some()),
        ("prometheus", spec.prometheus.is_some()),
        ("patroni", spec.patroni.is_some()),
    ];
    for (option, given) in unsupported {
        if given {
            bail_fault!(Unsupported, "instance `{name}`: option `{option}` is not supported in this version of pgsocle"; "leave it out");
        }
    }
    spec.restarts()?;
    if spec.state == State::Absent && spec.deletion_protection.is_some() {
        return Err(protection::contradiction(&format!("instance `{name}`")));
    }
    for (option, given) in [
        ("keep_data", spec.keep_data),
        ("delete_dumps", spec.delete_dumps),
        ("delete_backups", spec.delete_backups),
    ] {
        if given && spec.state != State::Absent {
            bail_fault!(Input, "instance `{name}`: `{option}` needs `state: absent`");
        }
    }
    if matches!(spec.state, State::Absent | State::Forgotten)
        && [
            spec.roles.as_ref().map(Vec::len),
            spec.tablespaces.as_ref().map(Vec::len),
            spec.databases.as_ref().map(Vec::len),
        ]
        .iter()
        .any(|length| length.is_some_and(|length| length > 0))
    {
        bail_fault!(
            Input,
            "instance `{name}`: roles, tablespaces or databases of one that is not to be there make no sense"
        );
    }
    Ok(())
}

fn check_adoption(spec: &InstanceSpec) -> Result<()> {
    let name = &spec.name;
    if !spec.adopt && (spec.datadir.is_some() || spec.config_file.is_some()) {
        bail_fault!(
            Input,
            "instance `{name}`: `datadir` and `config_file` say where a cluster lies that is adopted";
            "set `adopt: true`; where instances are made, the site settings say"
        );
    }
    if spec.adopt && matches!(spec.state, State::Absent | State::Forgotten) {
        bail_fault!(
            Input,
            "instance `{name}`: `adopt: true` and that it is not to be there contradict each other"
        );
    }
    Ok(())
}

/// Refuses owners that the same run is to drop.
pub fn check_owners(
    roles: &[RoleSpec],
    tablespaces: &[TablespaceSpec],
    databases: &[DatabaseSpec],
) -> Result<()> {
    let absent = |name: &&String| {
        roles
            .iter()
            .any(|role| role.state == Presence::Absent && role.name == **name)
    };
    for tablespace in tablespaces
        .iter()
        .filter(|tablespace| tablespace.state == Presence::Present)
    {
        if let Some(owner) = tablespace.owner.as_ref().filter(absent) {
            bail_fault!(
                Input,
                "role `{owner}` is to be absent, and to own tablespace `{}`", tablespace.name;
                "name another owner"
            );
        }
    }
    for database in databases
        .iter()
        .filter(|database| database.state == Presence::Present)
    {
        let schemas = database.schemas.iter().flatten();
        let mut owners = schemas
            .filter(|schema| schema.state == Presence::Present)
            .filter_map(|schema| schema.owner.as_ref())
            .chain(&database.owner);
        if let Some(owner) = owners.find(absent) {
            bail_fault!(
                Input,
                "role `{owner}` is to be absent, and to own database `{}` or a schema of it", database.name;
                "name another owner"
            );
        }
    }
    Ok(())
}
