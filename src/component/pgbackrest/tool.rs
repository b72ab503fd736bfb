//! The program `pgbackrest`, for one stanza.

use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::info;
use super::rights::CHECKPOINTS;
use super::stanza_file::StanzaFile;
use super::{trouble, upkeep};
use crate::backup::recovery::{self, Recovery, Target};
use crate::backup::timeline::{Timelines, archived};
use crate::backup::{
    Backup, BackupTool, Catalogue, Expired, Kind, Method, Place, Source, Tablespace, Trouble,
    Verdict,
};
use crate::component::backups::stanza::{Elsewhere, StanzaTool};
use crate::fault::Fault;
use crate::host::{Command, Look, Output, Probe, Server};
use crate::pg::version::Major;
use crate::plan::Step;
use crate::settings::{self, InstancePaths};
use crate::{bail_fault, fault};

/// How long a repository may take to answer who only wants to know how things stand.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long other questions wait for it, in seconds, unless the site settings say otherwise: pgBackRest's own half an hour is
/// for backups.
const TIMEOUTS: [(&str, u32); 2] = [("io-timeout", 10), ("protocol-timeout", 20)];

/// How long they may take in all. These end before that, but for a program `ssh` that closes its output and stays: for its end
/// pgBackRest 2.45 waits without any.
const DEADLINE: Duration = Duration::from_secs(120);

/// The program, its configuration, and the stanza.
#[derive(Debug, Clone)]
pub struct PgBackRest {
    pub own: settings::PgBackRest,
    pub stanza: String,
}

/// Where the stanzas of the host are configured.
pub fn stanza_directory(own: &settings::PgBackRest) -> Utf8PathBuf {
    own.configpath.join("conf.d")
}

/// The stanzas of the host with their files.
pub fn stanza_files(
    own: &settings::PgBackRest,
    look: &dyn Look,
) -> Result<Vec<(String, Vec<u8>, StanzaFile)>> {
    let directory = stanza_directory(own);
    let mut files = Vec::new();
    for name in look.list(&directory)?.unwrap_or_default() {
        if let Some(stanza) = name.strip_suffix(".conf")
            && let Some(content) = look.read(&directory.join(&name))?
        {
            let file = StanzaFile::parse(&content)?;
            files.push((stanza.to_owned(), content, file));
        }
    }
    Ok(files)
}

impl PgBackRest {
    /// That of the stanza which a data directory is in.
    pub fn of(
        own: &settings::PgBackRest,
        look: &dyn Look,
        datadir: &Utf8Path,
    ) -> Result<Option<Self>> {
        let files = stanza_files(own, look)?;
        let mut found = files
            .into_iter()
            .filter(|(.., file)| file.number(datadir).is_some());
        Ok(found.next().map(|(stanza, ..)| Self {
            own: own.clone(),
            stanza,
        }))
    }

    /// Whether commands on the repository are run on this host.
    pub fn is_local(&self) -> bool {
        self.own.repository.host().is_none()
    }

    pub fn is_installed(&self, look: &dyn Look) -> Result<bool> {
        Ok(look.stat(&self.own.execpath)?.is_some())
    }

    pub fn not_installed(&self) -> anyhow::Error {
        fault!(
            NotFound,
            "program `{}` is not installed, and backups are taken with it", self.own.execpath;
            "install the package `pgbackrest`, or set `pgbackrest.execpath` in the site settings"
        )
    }

    fn command(&self) -> Command {
        Command::new(&self.own.execpath).args([
            format!("--config-path={}", self.own.configpath),
            format!("--stanza={}", self.stanza),
        ])
    }

    /// For a question, whose answer people wait for.
    fn in_a_moment(&self) -> Command {
        let bounds = TIMEOUTS
            .iter()
            .filter(|(option, _)| !self.own.options.contains_key(*option))
            .map(|(option, seconds)| format!("--{option}={seconds}"));
        self.command().args(bounds)
    }

    /// What is in the repositories, or one backup of it.
    fn question(&self, set: Option<&str>) -> Probe {
        Probe::pgbackrest_info(self.in_a_moment(), set).within(DEADLINE)
    }

    /// What needs no server, but its data directory.
    pub fn offline(&self, command: &str, datadir: &Utf8Path) -> Command {
        self.command()
            .arg(format!("--pg1-path={datadir}"))
            .args(["--no-online", command])
    }

    /// `archive_command`: the data directory is said, since a stanza may be of several.
    pub fn archive_command(&self, datadir: &Utf8Path) -> String {
        let command = self
            .command()
            .arg(format!("--pg1-path={datadir}"))
            .arg("archive-push");
        // `%` is the server's own in this parameter.
        format!("{} %p", command.to_string().replace('%', "%%"))
    }

    fn info(&self, look: &dyn Look, set: Option<&str>) -> Result<Catalogue> {
        read(look, &self.question(set))
    }
}

/// Which pgBackRest it is.
pub fn version(program: &Utf8Path) -> Probe {
    Probe::version(program, "version").within(DEADLINE)
}

fn read(look: &dyn Look, probe: &Probe) -> Result<Catalogue> {
    info::parse(&answer(look, probe, "look into its repository")?.stdout)
}

/// What a command that only reads says.
pub fn answer(look: &dyn Look, probe: &Probe, what: &str) -> Result<Output> {
    let output = look.probe(probe).map_err(|error| {
        if !Fault::is(&error, fault::Kind::Unavailable) {
            return error;
        }
        fault!(
            Unavailable,
            "the repository is unreachable: {error}";
            "look what it waits for: `{}`, as `{}`", probe.command(), look.caller().user
        )
    })?;
    if !output.success() {
        let said = trouble::brief(&trouble::told(&output));
        bail_fault!(Unavailable, "pgBackRest cannot {what}: {said}");
    }
    Ok(output)
}

impl StanzaTool for PgBackRest {
    fn make(&self, known: &Catalogue, _: Option<u64>, paths: &InstancePaths) -> Vec<Step> {
        let run = |command| Step::Run(self.offline(command, &paths.datadir));
        if !known.clusters.is_empty() {
            return vec![run("stanza-upgrade")];
        }
        // A deletion that was cut short has left it stopped.
        let start = Step::Run(self.command().arg("start"));
        vec![start, run("stanza-create")]
    }

    /// pgBackRest deletes a stanza only while it is stopped.
    fn delete(&self, paths: &InstancePaths) -> Vec<Step> {
        vec![
            Step::Run(self.command().arg("stop")),
            Step::Run(
                self.command()
                    .arg(format!("--pg1-path={}", paths.datadir))
                    .args(["--force", "stanza-delete"]),
            ),
        ]
    }

    fn is_shared(&self, look: &dyn Look, paths: &InstancePaths) -> Result<bool> {
        let files = stanza_files(&self.own, look)?;
        let own = files.iter().find(|(name, ..)| *name == self.stanza);
        Ok(own.is_some_and(|(.., file)| file.has_others(&paths.datadir)))
    }

    fn made_elsewhere(&self) -> Option<Elsewhere> {
        let command = |command: &str| format!("`pgbackrest --stanza={} {command}`", self.stanza);
        (!self.is_local()).then(|| Elsewhere {
            make: command("stanza-create") + " (role socle.postgresql.backup_host does it)",
            delete: command("stanza-delete"),
        })
    }

    fn is_awaited(&self, look: &dyn Look) -> Result<bool> {
        Ok(!self.is_local()
            && self.is_installed(look)?
            && self.catalogue(look)?.cluster().is_none())
    }
}

impl BackupTool for PgBackRest {
    fn method(&self) -> Method {
        Method::PgBackRest
    }

    fn stanza(&self) -> &str {
        &self.stanza
    }

    fn catalogue(&self, look: &dyn Look) -> Result<Catalogue> {
        self.info(look, None)
    }

    fn glance(&self, look: &dyn Look) -> Result<Catalogue> {
        read(look, &self.question(None).within(PATIENCE))
    }

    fn in_full(&self, look: &dyn Look) -> Result<Catalogue> {
        let mut catalogue = self.catalogue(look)?;
        for backup in &mut catalogue.backups {
            // One that has just expired is told of without.
            if let Ok(one) = self.info(look, Some(&backup.label))
                && let Some(full) = one.backups.into_iter().next()
            {
                backup.databases = full.databases;
            }
        }
        Ok(catalogue)
    }

    fn tablespaces(&self, look: &dyn Look, backup: &Backup) -> Result<Vec<Tablespace>> {
        let said = answer(
            look,
            &self.question(Some(&backup.label)),
            "look into its repository",
        )?;
        info::tablespaces(&said.stdout)
    }

    fn missing(&self, look: &dyn Look) -> Result<Option<anyhow::Error>> {
        Ok((!self.is_installed(look)?).then(|| self.not_installed()))
    }

    fn elsewhere(&self, command: &str) -> Option<anyhow::Error> {
        let stanza = &self.stanza;
        self.own.repository.host().map(|host| {
            fault!(
                Unsupported,
                "the repository of stanza `{stanza}` is on host `{host}`, and there only pgBackRest runs `{command}`";
                "run `pgbackrest --stanza={stanza} {command}` on `{host}`; the timers of role \
                 socle.postgresql.backup_host take backups"
            )
        })
    }

    fn version(&self, look: &dyn Look) -> Result<Option<String>> {
        let output = look.probe(&version(&self.own.execpath))?;
        let said = output.text();
        Ok(said.split_whitespace().last().map(str::to_owned))
    }

    /// A repository that does not tell is no reason to refuse a restore.
    fn timelines(
        &self,
        look: &dyn Look,
        cluster: u64,
        wanted: Option<u32>,
    ) -> Result<Option<Timelines>> {
        let said = answer(look, &self.question(None), "look into its repository")?.stdout;
        let Some(archive) = info::archive(&said, cluster)? else {
            return Ok(None);
        };
        let directory = format!("archive/{}/{archive}", self.stanza);
        let histories = Probe::pgbackrest_histories(self.in_a_moment(), &directory);
        let said = look.probe(&histories.within(DEADLINE))?;
        if !said.success() {
            return Ok(None);
        }
        let names: Vec<String> = said.text().lines().map(str::to_owned).collect();
        archived(&names, &self.stanza, wanted, |file| {
            let path = format!("{directory}/{file}");
            let history = Probe::pgbackrest_file(self.in_a_moment(), &path);
            let said = look.probe(&history.within(DEADLINE))?;
            Ok(Some(said).filter(Output::success).map(|said| said.stdout))
        })
    }

    fn trouble(&self, said: &str) -> Option<Trouble> {
        trouble::of(said)
    }

    fn not_from_a_standby(&self, major: Major) -> Option<anyhow::Error> {
        (major < CHECKPOINTS).then(|| {
            fault!(
                Unsupported,
                "pgBackRest runs CHECKPOINT on a standby, which PostgreSQL {major} lets only superusers do";
                "take the backup on the primary"
            )
        })
    }

    /// As pgBackRest does it: of a cluster of which there is none yet, all is taken.
    fn kind(&self, asked: Option<Kind>, source: &Source, known: &Catalogue) -> Result<Kind> {
        let mut own = known.backups.iter().filter(|own| own.repository == 1);
        let any = own.any(|own| {
            source
                .cluster
                .is_none_or(|cluster| own.system_identifier == cluster)
        });
        Ok(if any {
            asked.unwrap_or_default()
        } else {
            Kind::Full
        })
    }

    fn take(&self, kind: Kind, _: &Server, source: &Source, _: &Catalogue) -> Vec<Step> {
        let mut command = self.command();
        if source.standby {
            command = command.arg("--backup-standby");
        }
        command.progress = Some("--log-level-console=detail");
        let kind = format!("--type={}", kind.name());
        vec![Step::Run(command.args([
            kind.as_str(),
            "--start-fast",
            "backup",
        ]))]
    }

    fn restore(
        &self,
        backup: &Backup,
        _: &Catalogue,
        place: &Place,
        recovery: &Recovery,
    ) -> Result<Vec<Step>> {
        let fetch = self
            .command()
            .arg(format!("--pg1-path={}", place.datadir))
            .arg("archive-get")
            .to_string()
            .replace('%', "%%");
        let (kind, target) = match &recovery.target {
            Target::Latest => ("default", None),
            Target::Immediate => ("immediate", None),
            Target::Time(time) => ("time", Some(time.strftime("%F %T%.6f+00").to_string())),
            Target::Lsn(lsn) => ("lsn", Some(recovery::shown(*lsn))),
            Target::Xid(xid) => ("xid", Some(xid.to_string())),
            Target::Name(name) => ("name", Some(name.clone())),
        };
        let mut command = self.command().args([
            format!("--pg1-path={}", place.directory),
            format!("--set={}", backup.label),
            format!("--type={kind}"),
            format!("--recovery-option=restore_command={fetch} %f \"%p\""),
        ]);
        if let Some(target) = target {
            command = command.arg(format!("--target={target}"));
        }
        if recovery.target != Target::Latest {
            command = command.arg(format!("--target-action={}", recovery.action.name()));
        }
        if recovery.exclusive {
            command = command.arg("--target-exclusive");
        }
        if let Some(timeline) = &recovery.timeline {
            command = command.arg(format!("--target-timeline={timeline}"));
        }
        if let Some(waldir) = place.waldir {
            command = command.arg(format!("--link-map=pg_wal={waldir}"));
        }
        if let Some(tablespaces) = &place.tablespaces {
            command = command.arg(format!("--tablespace-map-all={tablespaces}"));
        }
        let maps = place.mapped.iter();
        command = command.args(maps.map(|(oid, to)| format!("--tablespace-map={oid}={to}")));
        if place.delta {
            command = command.arg("--delta");
        }
        if place.silent {
            command = command.arg("--archive-mode=off");
        }
        Ok(vec![Step::Run(command.arg("restore"))])
    }

    /// By its lock file, since the program itself is costly to ask.
    fn is_taking(&self, look: &dyn Look) -> Result<bool> {
        let name = format!("{}-backup.lock", self.stanza);
        Ok(look.stat(&self.own.lockpath.join(name))?.is_some())
    }

    fn expired(&self, look: &dyn Look) -> Result<Expired> {
        let probe = Probe::pgbackrest_expire(self.command());
        let said = answer(look, &probe, "tell what has expired")?;
        Ok(upkeep::expired(&said.text()))
    }

    fn expire(&self, _: &Expired) -> Vec<Step> {
        vec![Step::Run(self.command().arg("expire"))]
    }

    fn check(&self, _: &Server) -> Vec<Step> {
        vec![Step::Run(self.command().arg("check"))]
    }

    fn verify(&self, look: &dyn Look) -> Result<Verdict> {
        let said = answer(look, &version(&self.own.execpath), "tell its version")?;
        upkeep::can_verify(&said.text())?;
        let probe = Probe::pgbackrest_verify(self.command());
        let said = answer(look, &probe, "verify its repository")?;
        Ok(upkeep::verdict(&said.text()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_look_does_not_wait_long() {
        let tool = |options| {
            PgBackRest {
            own: serde_json::from_value(json!({
                "configpath": "/etc/pgbackrest", "repository": { "mode": "host-ssh", "host": "h" }, "options": options,
            })).unwrap(),
            stanza: "app".to_owned(),
        }
        };
        let command = "/usr/bin/pgbackrest --config-path=/etc/pgbackrest --stanza=app";
        for (options, bounds) in [
            (json!({}), " --io-timeout=10 --protocol-timeout=20"),
            (json!({ "protocol-timeout": "5m" }), " --io-timeout=10"),
        ] {
            let question = tool(options).question(None);
            assert_eq!(
                question.command().to_string(),
                format!("{command}{bounds} --output=json info")
            );
            assert_eq!(question.limit(), Some(DEADLINE));
        }
    }
}
