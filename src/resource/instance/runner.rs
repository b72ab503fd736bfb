//! Which system unit runs a server that others set up.

use anyhow::Result;
use camino::Utf8Path;

use crate::bail_fault;
use crate::host::{Look, Probe, UNIT_PREFIX};
use crate::resource::instance::discovery::Packaged;
use crate::resource::instance::record::Adopted;

/// What was seen of who runs a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runner {
    /// systemd is this host's first process.
    pub booted: bool,
    /// The unit in whose control group the server runs.
    pub within: Option<String>,
    /// … is one of a user's manager.
    pub of_user: bool,
    /// The main process of that unit is the server; and as whom it says that it runs.
    pub main: bool,
    pub user: String,
    /// The unit by which the packages start it: `postgresql@15-main.service`, `postgresql-15.service`.
    pub usual: Option<String>,
    /// postgresql-common made it: its units become the owner of the cluster by themselves.
    pub packaged: bool,
    pub running: bool,
    /// The command line of the process that started the server, while that is there.
    pub parent: Option<String>,
}

/// The innermost service of `/proc/PID/cgroup`, and whether it is one of a user's manager.
pub fn service(groups: &str) -> Option<(String, bool)> {
    let found = groups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let part = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        Some((part.to_owned(), path))
    });
    let (unit, path) = found?;
    // What a user's session or manager holds beside its services is nobody's unit.
    if unit.starts_with("user@") {
        return None;
    }
    let of_user = path.split('/').any(|part| part.starts_with("user@"));
    Some((unit, of_user))
}

pub fn observe(
    look: &dyn Look,
    adopted: &Adopted,
    pid: Option<i32>,
    packaged: Option<&Packaged>,
) -> Result<Runner> {
    let mut runner = Runner {
        booted: look.stat(Utf8Path::new("/run/systemd/system"))?.is_some(),
        packaged: packaged.is_some(),
        running: pid.is_some(),
        ..Runner::default()
    };
    let read = |path: String| -> Option<String> {
        let content = look.read(Utf8Path::new(&path)).ok()??;
        Some(String::from_utf8_lossy(&content).into_owned())
    };
    if let Some(pid) = pid {
        runner.parent = read(format!("/proc/{pid}/stat"))
            .and_then(|stat| {
                // The name of the program, in parentheses, may hold anything.
                let rest = stat.rsplit_once(')')?.1.to_owned();
                rest.split_whitespace().nth(1).map(str::to_owned)
            })
            .and_then(|parent| read(format!("/proc/{parent}/cmdline")))
            .map(|line| line.replace('\0', " ").trim().to_owned());
    }
    if !runner.booted {
        return Ok(runner);
    }
    let show = |unit: &str, properties: &str| -> Result<Vec<(String, String)>> {
        let text = look.probe(&Probe::unit(false, unit, properties))?.text();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    };
    if let Some(pid) = pid
        && let Some((unit, of_user)) =
            read(format!("/proc/{pid}/cgroup")).and_then(|groups| service(&groups))
    {
        if !of_user {
            for (name, value) in show(&unit, "MainPID,User")? {
                match name.as_str() {
                    "MainPID" => runner.main = value == pid.to_string(),
                    "User" => runner.user = value,
                    _ => {}
                }
            }
        }
        runner.of_user = of_user;
        runner.within = Some(unit);
    }
    if let Some(cluster) = packaged {
        // "%I breaks for cluster names containing dashes" (postgresql@.service): no unit starts such a one.
        let unit = format!("postgresql@{}-{}.service", cluster.version, cluster.name);
        runner.usual = (!cluster.name.contains('-')).then_some(unit);
        return Ok(runner);
    }
    for unit in [
        format!("postgresql-{}.service", adopted.version),
        "postgresql.service".to_owned(),
    ] {
        if names(&show(&unit, "Environment")?, &adopted.data_directory) {
            runner.usual = Some(unit);
            break;
        }
    }
    Ok(runner)
}

/// Whether `PGDATA` of a unit's environment is this directory.
fn names(properties: &[(String, String)], datadir: &Utf8Path) -> bool {
    properties.iter().any(|(name, value)| {
        name == "Environment"
            && value.split(' ').any(|setting| {
                let path = setting.trim_matches('"').strip_prefix("PGDATA=");
                path.is_some_and(|path| Utf8Path::new(path.trim_end_matches('/')) == datadir)
            })
    })
}

impl Runner {
    /// The unit that is told to start and to stop it; none where that is nobody's, or ours.
    pub fn unit(&self, sysuser: &str, warnings: &mut Vec<String>) -> Result<Option<String>> {
        let Some(within) = self.within.as_ref().filter(|_| self.booted) else {
            if let Some(usual) = self.usual.as_ref().filter(|_| self.running) {
                warnings.push(outside(usual));
            }
            return Ok(self.usual.clone());
        };
        if within.starts_with(UNIT_PREFIX) {
            return Ok(None);
        }
        if self.of_user {
            bail_fault!(
                Unsupported,
                "the server runs in the unit `{within}` of a user's service manager, of which pgsocle knows nothing";
                "stop and disable it there first (`systemctl --user disable --now {within}`), then adopt the stopped cluster"
            );
        }
        if !self.main {
            warnings.push(match &self.usual {
                Some(usual) => outside(usual),
                None => format!(
                    "the server runs in the unit `{within}`, but is not what that unit is there for: systemd does not start it at boot"
                ),
            });
            return Ok(self.usual.clone());
        }
        if self.user != sysuser && !(self.packaged && within.starts_with("postgresql@")) {
            bail_fault!(
                Denied,
                "the unit `{within}` of the server does not say `User={sysuser}`: it is not pgsocle's to start and stop";
                "add that to the unit (`systemctl edit {within}`), then adopt the cluster"
            );
        }
        Ok(Some(within.clone()))
    }
}

fn outside(unit: &str) -> String {
    format!(
        "the server runs, but not in its unit `{unit}`: systemd neither sees nor stops it; a restart brings it under systemd"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_a_process() {
        for (groups, expected) in [
            (
                "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
                Some(("postgresql@15-main.service", false)),
            ),
            (
                "12:pids:/\n1:name=systemd:/system.slice/postgresql-15.service\n",
                Some(("postgresql-15.service", false)),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/pg.service\n",
                Some(("pg.service", true)),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n",
                None,
            ),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            let expected = expected.map(|(unit, of_user)| (unit.to_owned(), of_user));
            assert_eq!(service(groups), expected, "{groups}");
        }
    }

    #[test]
    fn the_unit_of_the_packages() {
        let properties = |value: &str| vec![("Environment".to_owned(), value.to_owned())];
        for (value, expected) in [
            ("PGDATA=/var/lib/pgsql/15/data/ PG_OOM_ADJUST_VALUE=0", true),
            ("PGDATA=/var/lib/pgsql/15/data", true),
            ("PGDATA=/var/lib/pgsql/16/data/", false),
            ("", false),
        ] {
            let found = names(&properties(value), "/var/lib/pgsql/15/data".into());
            assert_eq!(found, expected, "{value}");
        }
    }

    /// What becomes of it, with what is warned of.
    fn said(runner: &Runner) -> (Result<Option<String>, String>, Vec<String>) {
        let mut warnings = Vec::new();
        let unit = runner.unit("postgres", &mut warnings);
        (unit.map_err(|error| error.to_string()), warnings)
    }

    #[test]
    fn whose_unit_it_is() {
        let debian = "postgresql@15-main.service";
        let base = Runner {
            booted: true,
            running: true,
            usual: Some(debian.into()),
            packaged: true,
            ..Runner::default()
        };
        let within = |unit: &str, main: bool, user: &str| Runner {
            within: Some(unit.into()),
            main,
            user: user.into(),
            ..base.clone()
        };
        assert_eq!(
            said(&within(debian, true, "")),
            (Ok(Some(debian.into())), vec![])
        );
        // Started by hand.
        assert_eq!(
            said(&base),
            (Ok(Some(debian.into())), vec![outside(debian)])
        );
        assert_eq!(
            said(&within("cron.service", false, "")),
            (Ok(Some(debian.into())), vec![outside(debian)])
        );
        let stopped = Runner {
            running: false,
            ..base.clone()
        };
        assert_eq!(said(&stopped), (Ok(Some(debian.into())), vec![]));
        let own = Runner {
            usual: None,
            packaged: false,
            ..within("shop.service", true, "postgres")
        };
        assert_eq!(said(&own), (Ok(Some("shop.service".into())), vec![]));
        let others = Runner {
            user: String::new(),
            ..own.clone()
        };
        insta::assert_snapshot!(said(&others).0.unwrap_err(), @"the unit `shop.service` of the server does not say `User=postgres`: it is not pgsocle's to start and stop");
        let users = Runner {
            of_user: true,
            ..own.clone()
        };
        insta::assert_snapshot!(said(&users).0.unwrap_err(), @"the server runs in the unit `shop.service` of a user's service manager, of which pgsocle knows nothing");
        let ours = Runner {
            within: Some("pgsocle-postgresql@15-main.service".into()),
            ..own
        };
        assert_eq!(said(&ours), (Ok(None), vec![]));
    }
}
