//! The site's templates for the files of a new instance; a site may put its own in their place.
//!
//! Their variables stand in braces, as in pglift, so that a site's templates can be carried over.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use crate::host::Look;
use crate::pg::auth_file::Entry as _;
use crate::pg::conf::Conf;
use crate::pg::hba::{ConnectionType, Hba, Record};
use crate::pg::ident_map::Mapping;
use crate::pg::version::Major;
use crate::resource::instance::desired::Auth;
use crate::settings::InstancePaths;
use crate::settings::Settings;
use crate::settings::expand;

/// What the templates of one instance give.
pub struct Templates {
    /// Parameters of postgresql.conf, variables filled in.
    pub parameters: Vec<(String, String)>,
    /// Those of them that name the instance, with their templates.
    pub naming: Vec<(String, String)>,
    pub group_access: bool,
    hba: String,
    ident: String,
    psqlrc: String,
    variables: Vec<(String, String)>,
    replrole: Option<String>,
    surole: String,
    /// What components add: records behind the first one, and mappings.
    pub access: (Vec<Record>, Vec<Mapping>),
}

/// The shipped templates, by the names under which a site may replace them.
pub const SHIPPED: &[(&str, &str)] = &[
    (
        "postgresql/postgresql.conf",
        include_str!("../../templates/postgresql/postgresql.conf"),
    ),
    (
        "postgresql/pg_hba.conf",
        include_str!("../../templates/postgresql/pg_hba.conf"),
    ),
    (
        "postgresql/pg_ident.conf",
        include_str!("../../templates/postgresql/pg_ident.conf"),
    ),
    (
        "postgresql/psqlrc",
        include_str!("../../templates/postgresql/psqlrc"),
    ),
];

impl Templates {
    pub fn observe(
        look: &dyn Look,
        site: &Settings,
        config_dir: Option<&Utf8PathBuf>,
        paths: &InstancePaths,
        auth: Option<&Auth>,
    ) -> Result<Self> {
        let read = |name: &str| read(look, config_dir, paths.version, name);
        let method = |own: Option<crate::manifest::HbaMethod>, site: &str| {
            own.map_or_else(|| site.to_owned(), |own| own.name().to_owned())
        };
        let own = auth.cloned().unwrap_or_default();
        let settings = &site.postgresql;
        let hostssl = settings
            .auth
            .hostssl
            .map_or("scram-sha-256", |method| method.as_str());
        let mut variables = vec![
            ("name".to_owned(), paths.name.clone()),
            ("version".to_owned(), paths.version.to_string()),
            ("instance".to_owned(), paths.to_string()),
            (
                "auth.local".to_owned(),
                method(own.local, settings.auth.local.as_str()),
            ),
            (
                "auth.host".to_owned(),
                method(own.host, settings.auth.host.as_str()),
            ),
            ("auth.hostssl".to_owned(), method(own.hostssl, hostssl)),
            ("surole".to_owned(), settings.surole.name.clone()),
            ("backuprole".to_owned(), settings.backuprole.name.clone()),
            (
                "replrole".to_owned(),
                settings.replrole.clone().unwrap_or_default(),
            ),
            ("sysuser".to_owned(), site.sysuser.user.clone()),
        ];
        flatten("settings", &serde_json::to_value(site)?, &mut variables);
        let mut this = Self {
            parameters: Vec::new(),
            naming: Vec::new(),
            group_access: settings.initdb.allow_group_access == Some(true),
            hba: read("postgresql/pg_hba.conf")?,
            ident: read("postgresql/pg_ident.conf")?,
            psqlrc: read("postgresql/psqlrc")?,
            variables,
            replrole: settings.replrole.clone(),
            surole: settings.surole.name.clone(),
            access: (Vec::new(), Vec::new()),
        };
        let conf = Conf::parse(read("postgresql/postgresql.conf")?.as_bytes())
            .context("template postgresql.conf")?;
        let entries = conf.entries();
        this.naming = entries
            .iter()
            .filter(|(_, value)| {
                ["{name}", "{instance}"]
                    .iter()
                    .any(|own| value.contains(own))
            })
            .cloned()
            .collect();
        this.parameters = entries
            .into_iter()
            .map(|(name, value)| Ok((name, this.fill("postgresql.conf", &value)?)))
            .collect::<Result<_>>()?;
        Ok(this)
    }

    /// The port that the template gives.
    pub fn port(&self) -> Option<u16> {
        self.parameters
            .iter()
            .find(|(name, _)| name == "port")
            .and_then(|(_, port)| port.parse().ok())
    }

    fn fill(&self, name: &str, text: &str) -> Result<String> {
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        expand(text, &variables).with_context(|| format!("template {name}"))
    }

    /// A setting's value with the variables of templates put in, as pglift does. Other braces are the value's own.
    pub fn fill_known(&self, value: &str) -> String {
        self.variables
            .iter()
            .fold(value.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), value)
            })
    }

    /// What the template gives for another instance. Where it gives nothing, it is returned itself.
    pub fn fill_for(&self, template: &str, version: Major, name: &str) -> String {
        let (number, instance) = (version.to_string(), format!("{version}/{name}"));
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(variable, value)| match variable.as_str() {
                "name" => ("name", name),
                "version" => ("version", number.as_str()),
                "instance" => ("instance", instance.as_str()),
                other => (other, value.as_str()),
            })
            .collect();
        expand(template, &variables).unwrap_or_else(|_| template.to_owned())
    }

    fn variable(&self, wanted: &str) -> &str {
        self.variables
            .iter()
            .find(|(name, _)| name == wanted)
            .map_or("", |(_, value)| value)
    }

    /// The first line lets the system user in as the superuser: the tool needs no password, and none is ever required.
    /// A replication role gets its lines too; without them a standby would be made that never streams.
    pub fn hba(&self, _: &InstancePaths) -> Result<String> {
        let quoted = |role: &str| {
            if role.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                role.to_owned()
            } else {
                format!("\"{}\"", role.replace('"', "\"\""))
            }
        };
        let mut text = format!(
            "# TYPE  DATABASE        USER            ADDRESS                 METHOD\nlocal   all             {:<15}                         peer map=pgsocle\n",
            quoted(&self.surole)
        );
        for record in &self.access.0 {
            let _ = writeln!(text, "{}", record.render_line());
        }
        text.push_str(&self.fill("pg_hba.conf", &self.hba)?);
        if let Some(replrole) = &self.replrole {
            let role = quoted(replrole);
            // Nobody outside this host is let in without a password, whatever the site says of the host itself.
            let method = match self.variable("auth.host") {
                "trust" => "scram-sha-256",
                method => method,
            };
            let _ = writeln!(
                text,
                "local   replication     {role:<15}                         {}",
                self.variable("auth.local")
            );
            for address in ["127.0.0.1/32", "::1/128"] {
                let _ = writeln!(
                    text,
                    "host    replication     {role:<15} {address:<23} {}",
                    self.variable("auth.host")
                );
            }
            let _ = writeln!(
                text,
                "host    replication     {role:<15} {:<23} {method}",
                "samenet"
            );
        }
        Ok(text)
    }

    /// The lines of `pg_hba.conf` that follow from the authentication methods that are given for the instance itself.
    pub fn methods(&self, paths: &InstancePaths, auth: Option<&Auth>) -> Result<Vec<Record>> {
        let Some(auth) = auth else {
            return Ok(Vec::new());
        };
        let given = [
            (ConnectionType::Local, auth.local),
            (ConnectionType::Host, auth.host),
            (ConnectionType::HostSsl, auth.hostssl),
        ];
        let mut records = Hba::parse(self.hba(paths)?.as_bytes()).records();
        records.retain(|record| {
            given.iter().any(|(kind, method)| {
                record.kind == *kind && method.is_some_and(|method| record.method == method.name())
            })
        });
        Ok(records)
    }

    pub fn ident(&self) -> Result<String> {
        let mut own = format!(
            "# MAPNAME       SYSTEM-USERNAME         PG-USERNAME\npgsocle         {:<23} {}\n",
            self.variable("sysuser"),
            self.surole
        );
        for mapping in &self.access.1 {
            let _ = writeln!(own, "{}", mapping.render_line());
        }
        Ok(own + &self.fill("pg_ident.conf", &self.ident)?)
    }

    pub fn psqlrc(&self, _: &InstancePaths) -> Result<Option<String>> {
        Ok(if self.psqlrc.trim().is_empty() {
            None
        } else {
            Some(self.fill("psqlrc", &self.psqlrc)?)
        })
    }
}

/// The site's own file, that of the major before the general one; else the shipped one.
fn read(
    look: &dyn Look,
    config_dir: Option<&Utf8PathBuf>,
    version: Major,
    name: &str,
) -> Result<String> {
    if let (Some(directory), Some((component, file))) = (config_dir, name.split_once('/')) {
        for path in [
            directory
                .join(component)
                .join(version.to_string())
                .join(file),
            directory.join(name),
        ] {
            if let Some(content) = look.read(&path)? {
                return String::from_utf8(content)
                    .with_context(|| format!("template {path} is not UTF-8"));
            }
        }
    }
    Ok(SHIPPED
        .iter()
        .find(|(shipped, _)| *shipped == name)
        .map_or(String::new(), |(_, text)| (*text).to_owned()))
}

/// `settings.postgresql.socket_directory` and the like.
fn flatten(prefix: &str, value: &serde_json::Value, variables: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                flatten(&format!("{prefix}.{name}"), value, variables);
            }
        }
        serde_json::Value::Null | serde_json::Value::Array(_) => {}
        serde_json::Value::String(text) => variables.push((prefix.to_owned(), text.clone())),
        other => variables.push((prefix.to_owned(), other.to_string())),
    }
}
