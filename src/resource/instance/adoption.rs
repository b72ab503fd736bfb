//! An existing cluster becomes an instance: nothing of it is moved or restarted, only where it lies is noted
//! (docs/adoption.md).

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::bail_fault;
use crate::fault;
use crate::fault::{Fault, Kind};
use crate::host::Look;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Step, attributes};
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::discovery::{self, Found, Wish};
use crate::resource::instance::lookup;
use crate::resource::instance::record::{self, Adopted, Record};
use crate::resource::instance::target::Target;
use crate::settings::{InstancePaths, Settings};
use crate::stage::{Stage, World};

/// A cluster of others that is to be an instance.
pub struct Adoption {
    pub settings: Settings,
    pub wish: Wish,
    /// The instance as the settings would place it.
    pub paths: InstancePaths,
}

pub struct Seen {
    record: Record,
    /// A cluster lies where the settings have the instance, with its configuration.
    own: bool,
    /// The other adopted ones.
    others: Vec<Adopted>,
    /// None: it is an instance already.
    found: Option<Found>,
    /// The instance to whom the data directory belongs by its path.
    placed: Option<String>,
}

/// The instance as it will be, and the stage that makes it one.
pub fn begin(look: &dyn Look, site: &Settings, wish: Wish) -> Result<(Target, Adoption)> {
    let known = match wish.version {
        Some(version) => Some(version),
        None => known(look, site, &wish)?,
    };
    let adoption = |paths: InstancePaths| Adoption {
        settings: site.clone(),
        wish: wish.clone(),
        paths,
    };
    if let Some(version) = known {
        let paths = site.paths(version, &wish.name);
        let adopted = Record::read(look, &paths)?.adopted.is_some();
        if adopted || is_own(look, &paths)? {
            let target = Target::new(site, look, version, &wish.name)?;
            return Ok((target, adoption(paths)));
        }
    }
    let found = discovery::find(look, site, &wish)?;
    let paths = site.paths(found.adopted.version, &wish.name);
    let target = Target::at(
        site,
        look,
        found.adopted.place(paths.clone()),
        Some(found.adopted),
    )?;
    Ok((target, adoption(paths)))
}

/// In check mode on a host whose packages an earlier task would have installed: they may bring the cluster along.
pub struct Unseen {
    pub paths: InstancePaths,
}

impl Unseen {
    /// Whether that is why there is no cluster.
    pub fn explains(
        error: &anyhow::Error,
        look: &dyn Look,
        site: &Settings,
        version: Option<Major>,
    ) -> Result<bool> {
        let not_found = Fault::is(error, Kind::NotFound);
        Ok(not_found && !discovery::has_programs(look, site, version)?)
    }
}

impl Stage for Unseen {
    type Seen = ();

    fn name(&self) -> String {
        format!("adoption of instance {}", self.paths)
    }

    fn observe(&self, _: &dyn Look, _: &World) -> Result<()> {
        Ok(())
    }

    fn plan(&self, (): &()) -> Result<Plan> {
        Ok(Plan::undetermined(format!(
            "{}: server programs of PostgreSQL {} are not installed yet, and neither is there a cluster",
            Stage::name(self),
            self.paths.version
        )))
    }
}

/// The major of the only instance of the name that could be meant.
fn known(look: &dyn Look, site: &Settings, wish: &Wish) -> Result<Option<Major>> {
    let mut majors = Vec::new();
    for (version, name) in lookup::list(look, site)? {
        let (paths, _) = record::paths(look, site, version, &name)?;
        if name == wish.name
            && wish
                .datadir
                .as_ref()
                .is_none_or(|datadir| *datadir == paths.datadir)
        {
            majors.push(version);
        }
    }
    Ok(match majors[..] {
        [only] => Some(only),
        _ => None,
    })
}

/// Where the settings have an instance there is one. One without its configuration is not complete: postgresql-common's, of a
/// site whose settings name its places.
fn is_own(look: &dyn Look, paths: &InstancePaths) -> Result<bool> {
    Ok(
        matches!(directory(look, &paths.datadir)?, Directory::Cluster(_))
            && look.stat(&paths.config_file)?.is_some(),
    )
}

impl Stage for Adoption {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("adoption of instance {}", self.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let record = Record::read(look, &self.paths)?;
        let own = is_own(look, &self.paths)?;
        let found = if record.adopted.is_some() || own {
            None
        } else {
            Some(discovery::find(look, &self.settings, &self.wish)?)
        };
        let mut others = record::adopted(look, &self.settings)?;
        others.retain(|other| {
            (other.version, other.name.as_str()) != (self.paths.version, self.paths.name.as_str())
        });
        let placed = match &found {
            Some(found) => {
                let path = &found.adopted.data_directory;
                let usual = path.join("postgresql.conf");
                self.settings
                    .instance_of(path)
                    .filter(|_| found.adopted.config_file == usual)
                    .map(|(_, name)| format!("{}/{name}", found.adopted.version))
            }
            None => None,
        };
        Ok(Seen {
            record,
            own,
            others,
            found,
            placed,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.paths;
        let (have, which) = match &seen.record.adopted {
            Some(adopted) => (
                Some(adopted.data_directory.clone()),
                "adopted already, from",
            ),
            None => (seen.own.then(|| paths.datadir.clone()), "there already, at"),
        };
        if let Some(have) = have {
            let other = |said: &Option<Utf8PathBuf>, have: &Utf8PathBuf| {
                said.as_ref().is_some_and(|said| said != have)
            };
            let config_file = match &seen.record.adopted {
                Some(adopted) => &adopted.config_file,
                None => &paths.config_file,
            };
            if other(&self.wish.datadir, &have) {
                bail_fault!(
                    Conflict,
                    "instance `{paths}` is {which} `{have}`: it cannot be adopted from another data directory";
                    "choose another name; nothing was changed"
                );
            }
            if other(&self.wish.config_file, config_file) {
                bail_fault!(
                    Conflict,
                    "instance `{paths}` is {which} `{have}`, with its configuration in `{config_file}`";
                    "leave out `config_file`; or `pgsocle instance forget {paths}` and adopt it anew"
                );
            }
            return Ok(Plan::default());
        }
        let Some(found) = &seen.found else {
            return Ok(Plan::default());
        };
        let adopted = &found.adopted;
        let path = &adopted.data_directory;
        let taken = seen
            .others
            .iter()
            .find(|other| other.data_directory == *path)
            .map(|other| format!("{}/{}", other.version, other.name))
            .or_else(|| seen.placed.clone());
        if let Some(taken) = taken {
            bail_fault!(
                Conflict,
                "data directory `{path}` is that of instance `{taken}` already";
                "call it by that name; nothing was changed"
            );
        }
        if let Some((keeper, how)) = &found.keeper {
            bail_fault!(
                Conflict,
                "cluster `{path}` is run by {keeper} ({how}): it is not adopted";
                "work with it through {keeper} ({}); if {keeper} has nothing to do with it any more, take that trace away first",
                keeper.tool()
            );
        }
        let mut plan = Plan {
            changes: vec![self.change(seen, found)],
            warnings: found.warnings.clone(),
            ..Plan::default()
        };
        if !found.programs {
            plan.missing.push(fault!(
                NotFound,
                "server programs of PostgreSQL {} are not where they are looked for", adopted.version;
                "say where they are with `postgresql.bindir` or `postgresql.versions` in the site settings"
            ));
        }
        Ok(plan)
    }
}

impl Adoption {
    fn change(&self, seen: &Seen, found: &Found) -> Change {
        let (paths, adopted) = (&self.paths, &found.adopted);
        let mut record = seen.record.clone();
        record.adopted = Some(adopted.clone());
        let steps = vec![
            Step::make_dir(&paths.state_directory, 0o750),
            Step::write(
                &paths.record,
                Content::Bytes(record.render().unwrap_or_default()),
                0o640,
            ),
        ];
        Change::new(
            Action::Alter,
            format!("adoption {paths}"),
            format!(
                "adopt `{}` as instance `{paths}`, as it lies and {}",
                adopted.data_directory,
                if found.running { "runs" } else { "stands" }
            ),
            Diff::new(format!("adoption {paths}"), "", lines(adopted)),
            Impact::None,
            steps,
        )
    }
}

/// What is noted of an adopted instance, as a diff shows it.
pub fn lines(adopted: &Adopted) -> String {
    let path = |path: &Utf8PathBuf| Some(path.to_string());
    attributes(&[
        ("data_directory", path(&adopted.data_directory)),
        ("wal_directory", path(&adopted.wal_directory)),
        ("config_file", path(&adopted.config_file)),
        ("hba_file", path(&adopted.hba_file)),
        ("ident_file", path(&adopted.ident_file)),
        ("socket_directory", path(&adopted.socket_directory)),
        ("log_file", adopted.log_file.as_ref().and_then(path)),
        ("unit", adopted.unit.clone()),
        (
            "system_identifier",
            Some(adopted.system_identifier.to_string()),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::instance::keeper::Keeper;
    use crate::resource::samples;
    use crate::resource::site::tests::Machine;

    fn adopted(name: &str, datadir: &str) -> Adopted {
        let file = |name: &str| Utf8PathBuf::from("/etc/postgresql/15/main").join(name);
        Adopted {
            version: Major::new(15),
            name: name.into(),
            data_directory: datadir.into(),
            wal_directory: Utf8PathBuf::from(datadir).join("pg_wal"),
            config_file: file("postgresql.conf"),
            hba_file: file("pg_hba.conf"),
            ident_file: file("pg_ident.conf"),
            socket_directory: "/var/run/postgresql".into(),
            system_identifier: 7_000_000_000_000_000_001,
            log_file: Some("/var/log/postgresql/postgresql-15-main.log".into()),
            unit: Some("postgresql@15-main.service".into()),
            passwords: Vec::new(),
        }
    }

    const DATADIR: &str = "/var/lib/postgresql/15/main";

    fn stage() -> Adoption {
        let site = Machine::new(true, &[]).site("prefix: /p\nrun_prefix: /r\n");
        Adoption {
            wish: Wish {
                version: None,
                name: "main".into(),
                datadir: None,
                config_file: None,
            },
            paths: site.settings.paths(Major::new(15), "main"),
            settings: site.settings,
        }
    }

    fn seen() -> Seen {
        Seen {
            record: Record::default(),
            own: false,
            others: Vec::new(),
            found: Some(Found {
                adopted: adopted("main", DATADIR),
                keeper: None,
                programs: true,
                running: true,
                warnings: vec!["said of it".into()],
            }),
            placed: None,
        }
    }

    #[test]
    fn only_a_note_is_written() {
        insta::assert_snapshot!(samples::shown(stage().plan(&seen())), @r"
        adopt `/var/lib/postgresql/15/main` as instance `15/main`, as it lies and runs [none]
          make directory /p/var/pgsocle/15-main
          write /p/var/pgsocle/15-main/instance.json
          +data_directory: /var/lib/postgresql/15/main
          +wal_directory: /var/lib/postgresql/15/main/pg_wal
          +config_file: /etc/postgresql/15/main/postgresql.conf
          +hba_file: /etc/postgresql/15/main/pg_hba.conf
          +ident_file: /etc/postgresql/15/main/pg_ident.conf
          +socket_directory: /var/run/postgresql
          +log_file: /var/log/postgresql/postgresql-15-main.log
          +unit: postgresql@15-main.service
          +system_identifier: 7000000000000000001
        warning: said of it
        ");
    }

    #[test]
    fn what_is_an_instance_stays_one() {
        for (record, own) in [(Some(adopted("main", DATADIR)), false), (None, true)] {
            let mut seen = Seen {
                own,
                found: None,
                ..seen()
            };
            seen.record.adopted = record;
            assert_eq!(stage().plan(&seen).unwrap().to_string(), "");
        }
    }

    #[test]
    fn what_is_refused() {
        let with = |change: fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            samples::shown(stage().plan(&seen))
        };
        insta::assert_snapshot!(with(|seen| seen.others = vec![adopted("shop", DATADIR)]), @r"
        Conflict: data directory `/var/lib/postgresql/15/main` is that of instance `15/shop` already
        hint: call it by that name; nothing was changed
        ");
        insta::assert_snapshot!(with(|seen| {
            if let Some(found) = &mut seen.found {
                found.keeper = Some((Keeper::Patroni, "there is a file `patroni.dynamic.json`".into()));
            }
        }), @r"
        Conflict: cluster `/var/lib/postgresql/15/main` is run by Patroni (there is a file `patroni.dynamic.json`): it is not adopted
        hint: work with it through Patroni (patronictl); if Patroni has nothing to do with it any more, take that trace away first
        ");
        let programs = with(|seen| {
            if let Some(found) = &mut seen.found {
                found.programs = false;
            }
        });
        assert!(
            programs.ends_with("missing: server programs of PostgreSQL 15 are not where they are looked for\nwarning: said of it\n"),
            "{programs}"
        );
    }

    /// A host as postgresql-common and Red Hat's packages leave it.
    fn machine() -> Machine {
        Machine::new(
            true,
            &[
                (
                    "/etc/postgresql/15/main/postgresql.conf",
                    "data_directory = '/var/lib/postgresql/15/main'\t\t# here\n",
                ),
                (
                    "/etc/postgresql/17/main/postgresql.conf",
                    "data_directory = '/srv/17/'\n",
                ),
                ("/etc/postgresql/15/odd/start.conf", "auto\n"),
                ("/var/lib/pgsql/16/data/PG_VERSION", "16\n"),
                ("/var/lib/pgsql/16/data/global/pg_control", "x"),
            ],
        )
    }

    #[test]
    fn where_the_packages_have_them() {
        let place = |version: Option<u16>, name: &str, datadir: Option<&str>| {
            let wish = Wish {
                version: version.map(Major::new),
                name: name.into(),
                datadir: datadir.map(Into::into),
                config_file: None,
            };
            let packaged = discovery::packaged(&machine()).unwrap();
            match discovery::place(&machine(), &wish, &packaged) {
                Ok(path) => path.into_string(),
                Err(error) => error.to_string(),
            }
        };
        for (version, name, datadir, expected) in [
            (Some(15), "main", None, "/var/lib/postgresql/15/main"),
            (Some(17), "main", None, "/srv/17"),
            (
                None,
                "main",
                None,
                "several clusters could be `main`: /var/lib/postgresql/15/main, /srv/17",
            ),
            (Some(16), "main", None, "/var/lib/pgsql/16/data"),
            (None, "shop", None, "/var/lib/pgsql/16/data"),
            (Some(15), "main", Some("/srv/x/"), "/srv/x"),
            (
                Some(15),
                "main",
                Some("x"),
                "data directory `x` is not an absolute path",
            ),
            (
                Some(15),
                "odd",
                None,
                "there is no cluster `15/odd` to adopt, neither below /etc/postgresql nor below /var/lib/pgsql",
            ),
        ] {
            assert_eq!(
                place(version, name, datadir),
                expected,
                "{version:?} {name} {datadir:?}"
            );
        }
    }
}
