//! What must hold between settings, and what must be there on the host.

use camino::{Utf8Path, Utf8PathBuf};

use super::patroni::{Patroni, Protocol, VerifyClient};
use super::{Settings, template};
use crate::input::Wrong;

/// Longest path of a socket: `sun_path` of Linux holds 108 bytes, the last of them zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn wrong(path: &str, msg: &str, hint: &str) -> Result<(), Wrong> {
    Err(Wrong {
        path: path.to_owned(),
        msg: format!("`{path}` {msg}"),
        hint: Some(hint.to_owned()),
    })
}

fn holds(template: &Utf8Path, variable: &str) -> bool {
    template::variables(template.as_str()).is_ok_and(|names| names.contains(&variable))
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_paths()?;
        self.check_postgresql()?;
        if let Some(patroni) = &self.patroni {
            if self.postgresql.replrole.is_none() {
                return wrong(
                    "patroni",
                    "needs `postgresql.replrole`",
                    "set `postgresql.replrole` to the name of the replication role",
                );
            }
            patroni.check()?;
        }
        if let Some(pgbackrest) = &self.pgbackrest {
            pgbackrest.check()?;
        }
        if let Some(basebackup) = &self.basebackup {
            basebackup.check()?;
        }
        if let Some(temboard) = &self.temboard
            && !temboard.ui_url.starts_with("http://")
            && !temboard.ui_url.starts_with("https://")
        {
            return wrong(
                "temboard.ui_url",
                "is no URL",
                "give it as `https://host:port`",
            );
        }
        self.check_managers()?;
        if self.sysuser.user.is_empty() || self.sysuser.group.is_empty() {
            return wrong("sysuser", "has an empty name", "give `[user, group]`");
        }
        let name = &self.instance_default_name;
        if name.is_empty()
            || name == "."
            || name == ".."
            || name.contains(['/', '-'])
            || name.contains(char::is_whitespace)
        {
            return wrong(
                "instance_default_name",
                "is no name of an instance",
                "a name holds no `/`, no `-` and no space",
            );
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), Wrong> {
        let postgresql = &self.postgresql;
        if !holds(&postgresql.datadir, "name") {
            return wrong(
                "postgresql.datadir",
                "does not hold `{name}`",
                "every instance needs a directory of its own, as in `pgsql/{version}/{name}/data`",
            );
        }
        for variable in ["name", "version"] {
            if holds(&postgresql.datadir, variable) != holds(&postgresql.waldir, variable) {
                return wrong(
                    "postgresql.waldir",
                    "does not hold the same variables as `postgresql.datadir`",
                    "use `{name}` and `{version}` in both or in neither",
                );
            }
        }
        if postgresql.waldir == postgresql.datadir {
            return wrong(
                "postgresql.waldir",
                "is the same as `postgresql.datadir`",
                "give WAL a directory of its own",
            );
        }
        if let Some(bindir) = &postgresql.bindir
            && !holds(bindir, "version")
        {
            return wrong(
                "postgresql.bindir",
                "does not hold `{version}`",
                "for the programs of one major use `postgresql.versions`",
            );
        }
        let socket = postgresql.socket_directory.join(".s.PGSQL.65535");
        if socket.as_str().len() > SOCKET_PATH_MAX {
            return wrong(
                "postgresql.socket_directory",
                "is too long for a socket: 92 bytes at most",
                "set it, or `run_prefix`, to a shorter path",
            );
        }
        Ok(())
    }

    fn check_postgresql(&self) -> Result<(), Wrong> {
        let postgresql = &self.postgresql;
        for (index, version) in postgresql.versions.iter().enumerate() {
            let earlier = postgresql.versions.iter().take(index);
            if earlier
                .into_iter()
                .any(|other| other.version == version.version)
            {
                return wrong(
                    &format!("postgresql.versions[{index}].version"),
                    "is listed twice",
                    "list every major once",
                );
            }
        }
        if postgresql.auth.passfile.is_none() {
            for (key, pgpass) in [
                ("postgresql.surole.pgpass", postgresql.surole.pgpass),
                ("postgresql.backuprole.pgpass", postgresql.backuprole.pgpass),
            ] {
                if pgpass {
                    return wrong(
                        key,
                        "needs `postgresql.auth.passfile`",
                        "set the path of the password file, or leave this out",
                    );
                }
            }
        }
        for (key, name) in [
            ("postgresql.surole.name", Some(&postgresql.surole.name)),
            (
                "postgresql.backuprole.name",
                Some(&postgresql.backuprole.name),
            ),
            ("postgresql.replrole", postgresql.replrole.as_ref()),
        ] {
            if name.is_some_and(String::is_empty) {
                return wrong(key, "is empty", "give the name of a role");
            }
        }
        for (index, command) in postgresql.dump_commands.iter().enumerate() {
            let program = command.first().map_or("", String::as_str);
            if !program.starts_with('/') && !program.starts_with("{bindir}/") {
                return wrong(
                    &format!("postgresql.dump_commands[{index}]"),
                    "does not begin with an absolute path or `{bindir}/`",
                    "name the program so, as in `{bindir}/pg_dump`",
                );
            }
        }
        Ok(())
    }

    fn check_managers(&self) -> Result<(), Wrong> {
        if let Some(systemd) = &self.systemd {
            if systemd.sudo && systemd.user {
                return wrong(
                    "systemd.sudo",
                    "cannot be used with `systemd.user`",
                    "the user's own service manager needs no sudo; for that of the system set `user: false`",
                );
            }
            return Ok(());
        }
        for (key, manager) in [
            ("service_manager", self.service_manager),
            ("scheduler", self.scheduler),
            ("tmpfiles_manager", self.tmpfiles_manager),
        ] {
            if manager.is_some() {
                return wrong(
                    key,
                    "needs the section `systemd`",
                    "add `systemd: {}`, or leave this out",
                );
            }
        }
        Ok(())
    }

    /// Programs that must be there, each with the key that names it. Those without a slash are looked
    /// for in `PATH`. The servers' own programs are not among them: see [`Settings::bindirs`].
    pub fn required_programs(&self) -> Vec<(String, Utf8PathBuf)> {
        let mut programs: Vec<(String, Utf8PathBuf)> = Vec::new();
        let mut add = |key: &str, path: &Utf8Path| programs.push((key.to_owned(), path.to_owned()));
        if let Some(patroni) = &self.patroni {
            add("patroni.execpath", &patroni.execpath);
            add("patroni.ctlpath", &patroni.ctlpath);
        }
        if let Some(pgbackrest) = &self.pgbackrest {
            add("pgbackrest.execpath", &pgbackrest.execpath);
        }
        if let Some(prometheus) = &self.prometheus {
            add("prometheus.execpath", &prometheus.execpath);
        }
        if let Some(temboard) = &self.temboard {
            add("temboard.execpath", &temboard.execpath);
        }
        if self.systemd.is_some() {
            add("systemd", "systemctl".into());
            add("systemd", "systemd-tmpfiles".into());
        }
        for (index, command) in self.postgresql.dump_commands.iter().enumerate() {
            if let Some(program) = command.first()
                && program.starts_with('/')
            {
                add(
                    &format!("postgresql.dump_commands[{index}]"),
                    program.as_str().into(),
                );
            }
        }
        programs
    }

    /// Certificates and keys that must be there, each with the key that names it.
    pub fn required_files(&self) -> Vec<(String, Utf8PathBuf)> {
        let mut files: Vec<(String, Utf8PathBuf)> = Vec::new();
        let mut add = |key: &str, path: Option<&Utf8PathBuf>| {
            files.extend(path.map(|path| (key.to_owned(), path.clone())));
        };
        if let Some(patroni) = &self.patroni {
            add("patroni.etcd.cacert", patroni.etcd.cacert.as_ref());
            add("patroni.etcd.cert", patroni.etcd.cert.as_ref());
            add("patroni.etcd.key", patroni.etcd.key.as_ref());
            if let Some(ctl) = &patroni.ctl {
                add("patroni.ctl.certfile", Some(&ctl.certfile));
                add("patroni.ctl.keyfile", Some(&ctl.keyfile));
            }
            let ssl = patroni
                .postgresql
                .connection
                .as_ref()
                .and_then(|connection| connection.ssl.as_ref());
            if let Some(ssl) = ssl {
                add("patroni.postgresql.connection.ssl.crl", ssl.crl.as_ref());
                add(
                    "patroni.postgresql.connection.ssl.crldir",
                    ssl.crldir.as_ref(),
                );
                add(
                    "patroni.postgresql.connection.ssl.rootcert",
                    ssl.rootcert.as_ref(),
                );
            }
            add("patroni.restapi.cafile", patroni.restapi.cafile.as_ref());
            add(
                "patroni.restapi.certfile",
                patroni.restapi.certfile.as_ref(),
            );
            add("patroni.restapi.keyfile", patroni.restapi.keyfile.as_ref());
        }
        if let Some(pgbackrest) = &self.pgbackrest {
            files.extend(pgbackrest.required_files());
        }
        let mut add = |key: &str, path: Option<&Utf8PathBuf>| {
            files.extend(path.map(|path| (key.to_owned(), path.clone())));
        };
        if let Some(temboard) = &self.temboard {
            add("temboard.signing_key", Some(&temboard.signing_key));
            add(
                "temboard.certificate.ca_cert",
                temboard.certificate.ca_cert.as_ref(),
            );
            add(
                "temboard.certificate.cert",
                Some(&temboard.certificate.cert),
            );
            add("temboard.certificate.key", Some(&temboard.certificate.key));
        }
        files
    }
}

impl Patroni {
    fn check(&self) -> Result<(), Wrong> {
        let etcd = &self.etcd;
        if etcd.hosts.is_empty() {
            return wrong(
                "patroni.etcd.hosts",
                "is empty",
                "name at least one `host:port`",
            );
        }
        if etcd.protocol == Protocol::Http && (etcd.cacert.is_some() || etcd.cert.is_some()) {
            return wrong(
                "patroni.etcd.protocol",
                "must be `https` as a certificate is set",
                "set `protocol: https`, or leave out `cacert` and `cert`",
            );
        }
        let restapi = &self.restapi;
        if let Some(verify) = restapi.verify_client {
            if restapi.certfile.is_none() {
                return wrong(
                    "patroni.restapi.verify_client",
                    "needs `patroni.restapi.certfile`",
                    "without a certificate there is no TLS to check clients in",
                );
            }
            if verify == VerifyClient::Required && self.ctl.is_none() {
                return wrong(
                    "patroni.restapi.verify_client",
                    "needs `patroni.ctl`, being `required`",
                    "give `patroni.ctl` the certificate and key that patronictl shows",
                );
            }
        }
        Ok(())
    }
}
