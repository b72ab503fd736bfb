//! Commands that only read: what a look may run.

use std::time::Duration;

use camino::Utf8Path;

use super::Command;

/// A command that only reads. It can be built by the constructors below only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    command: Command,
    /// It says the same for as long as a run takes: asked once.
    constant: bool,
    /// How long it is waited for.
    limit: Option<Duration>,
}

impl Probe {
    pub fn command(&self) -> &Command {
        &self.command
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }

    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The same, an error when it takes longer.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn new(command: Command) -> Self {
        Self {
            command,
            constant: false,
            limit: None,
        }
    }

    fn constant(command: Command) -> Self {
        Self {
            constant: true,
            ..Self::new(command)
        }
    }

    /// `postgres --describe-config`: every parameter with its type, unit, context and range; needs no cluster.
    pub fn describe_config(bindir: &Utf8Path) -> Self {
        Self::constant(Command::new(bindir.join("postgres")).arg("--describe-config"))
    }

    /// `postgres -C NAME` with no configuration at all: the built-in value of a parameter.
    pub fn default_value(bindir: &Utf8Path, name: &str) -> Self {
        Self::constant(
            Command::new(bindir.join("postgres"))
                .args(["-D", "/", "-c", "config_file=/dev/null", "-C", name])
                .env("LC_ALL", "C"),
        )
    }

    /// `pg_controldata`, in English.
    pub fn controldata(bindir: &Utf8Path, datadir: &Utf8Path) -> Self {
        Self::new(
            Command::new(bindir.join("pg_controldata"))
                .args(["-D", datadir.as_str()])
                .env("LC_ALL", "C"),
        )
    }

    /// `stat -c %C`: the SELinux context of a path.
    pub fn selinux_context(path: &Utf8Path) -> Self {
        Self::new(Command::new("stat").args(["-c", "%C", path.as_str()]))
    }

    /// `locale -a`
    pub fn locales() -> Self {
        Self::constant(Command::new("locale").arg("-a"))
    }

    /// `systemctl --version`
    pub fn systemctl_version() -> Self {
        Self::constant(Command::new("systemctl").arg("--version"))
    }

    /// `systemctl [--user] show -p … UNIT`, with times in UTC.
    pub fn unit(user: bool, unit: &str, properties: &str) -> Self {
        let manager = if user { "--user" } else { "--system" };
        Self::new(
            Command::new("systemctl")
                .args([manager, "show", "-p", properties, unit])
                .env("TZ", "UTC")
                .env("LC_ALL", "C"),
        )
    }

    /// `loginctl show-session`, which without a session tells of logind itself.
    pub fn logind() -> Self {
        let properties = ["-p", "RemoveIPC", "-p", "KillUserProcesses"];
        Self::new(
            Command::new("loginctl")
                .arg("show-session")
                .args(properties),
        )
    }

    /// `openssl verify`: whether an authority stands for a certificate now.
    pub fn verify_certificate(authority: &Utf8Path, certificate: &Utf8Path) -> Self {
        Self::new(
            Command::new("openssl")
                .args([
                    "verify",
                    "-CAfile",
                    authority.as_str(),
                    certificate.as_str(),
                ])
                .env("LC_ALL", "C"),
        )
    }

    /// `systemctl [--user] show`: when a timer elapses and has elapsed, in UTC, and what became of its service.
    pub fn timer(user: bool, timer: &str, service: &str) -> Self {
        let manager = if user { "--user" } else { "--system" };
        let properties = "ActiveState,NextElapseUSecRealtime,LastTriggerUSec";
        Self::new(
            Command::new("systemctl")
                .args([manager, "show", "-p", properties, timer, service])
                .env("TZ", "UTC")
                .env("LC_ALL", "C"),
        )
    }

    /// `systemd-analyze calendar`: whether it is a time.
    pub fn calendar(time: &str) -> Self {
        Self::constant(Command::new("systemd-analyze").args(["calendar", time]))
    }

    /// What a program says of its version; a word or an option asks for it.
    pub fn version(program: &Utf8Path, asked: &str) -> Self {
        Self::constant(Command::new(program).arg(asked))
    }

    /// `pgbackrest … info`: what is in the repositories for a stanza, or one backup of it in full.
    pub fn pgbackrest_info(pgbackrest: Command, backup: Option<&str>) -> Self {
        let set = backup.map(|label| format!("--set={label}"));
        Self::new(pgbackrest.args(["--output=json"]).args(set).arg("info"))
    }

    /// `pgbackrest … repo-ls`: the files that tell of timelines.
    pub fn pgbackrest_histories(pgbackrest: Command, directory: &str) -> Self {
        let filter = "--filter=^[0-9A-F]{8}[.]history$";
        Self::new(pgbackrest.args([filter, "repo-ls", directory]))
    }

    /// `pgbackrest … repo-get`: what is in a file of a repository.
    pub fn pgbackrest_file(pgbackrest: Command, path: &str) -> Self {
        Self::new(pgbackrest.args(["repo-get", path]))
    }

    /// `pgbackrest … expire --dry-run`: what retention would take away.
    pub fn pgbackrest_expire(pgbackrest: Command) -> Self {
        Self::new(pgbackrest.args(["--dry-run", "--log-level-console=info", "expire"]))
    }

    /// `pgbackrest … verify`: reads everything in the repositories.
    pub fn pgbackrest_verify(pgbackrest: Command) -> Self {
        Self::new(pgbackrest.args(["--output=text", "--verbose", "verify"]))
    }

    /// `pg_verifybackup`: reads everything of a backup. What it says of damage is all told, in English.
    pub fn verifybackup(bindir: &Utf8Path, backup: &Utf8Path) -> Self {
        let verify = Command::new(bindir.join("pg_verifybackup"));
        Self::new(verify.arg(backup.as_str()).env("LC_ALL", "C"))
    }

    /// The site's command that prints a password (`postgresql.auth.password_command`).
    pub fn password(command: &[String]) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        Some(Self::new(Command::new(program.as_str()).args(arguments)))
    }
}
