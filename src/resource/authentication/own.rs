//! Our own sessions: whether the two files let them in. What nobody can connect to nobody can mend without the files.

use crate::host::{Look, Server};
use crate::pg::auth_file::expand::Listed;
use crate::pg::hba::Record;
use crate::pg::hba::explain::{Connection, Encryption, Known, explain};
use crate::pg::ident_map::Mapping;
use crate::pg::pgpass::Pgpass;
use crate::resource::catalog;
use anyhow::Result;

/// How we connect: through the local socket, as the superuser role.
pub struct Own {
    connection: Connection,
    known: Known,
    system_user: String,
    /// There is a place where a password would be looked for, and it has one.
    password: bool,
}

impl Own {
    pub fn observe(look: &dyn Look, server: &Server, known: Known) -> Result<Self> {
        let mut password = !server.password_command.is_empty();
        if let Some(path) = &server.passfile
            && let Some(content) = look.read(path)?
        {
            let found = Pgpass::parse(&content)?;
            let host = "localhost";
            password |= found
                .lookup(host, server.port, catalog::MAINTENANCE, &server.user)
                .is_some();
        }
        Ok(Self::new(
            server,
            look.caller().user.clone(),
            password,
            known,
        ))
    }

    pub fn new(server: &Server, system_user: String, password: bool, known: Known) -> Self {
        Self {
            connection: Connection {
                user: server.user.clone(),
                database: catalog::MAINTENANCE.to_owned(),
                address: None,
                encryption: Encryption::None,
                replication: false,
            },
            known,
            system_user,
            password,
        }
    }

    pub fn user(&self) -> &str {
        &self.connection.user
    }

    pub fn major(&self) -> u32 {
        self.known.major
    }

    /// Why we would not be let in; none when we would, or when it cannot be told.
    pub fn barred(&self, hba: &[Listed<Record>], ident: &[Listed<Mapping>]) -> Option<String> {
        let explanation = explain(hba, &self.connection, &self.known);
        // What is uncertain may let us in.
        if explanation.uncertain().next().is_some() {
            return None;
        }
        let Some(listed) = explanation.decides.map(|at| &hba[at]) else {
            return Some("no record is for it".to_owned());
        };
        let record = listed.record.as_ref().ok()?;
        let text = listed.text.split_whitespace().collect::<Vec<_>>().join(" ");
        match record.method.as_str() {
            "trust" => None,
            "reject" => Some(format!("`{text}` rejects it")),
            "peer" | "ident" => {
                let map = record.options.iter().rfind(|(name, _)| name == "map");
                let (user, role) = (&self.system_user, self.user());
                match map {
                    None if user == role => None,
                    None => Some(format!(
                        "`{text}` lets in the system user `{role}`, not `{user}`"
                    )),
                    Some((_, map)) => {
                        let mappings = ident
                            .iter()
                            .filter_map(|listed| listed.record.as_ref().ok());
                        let mut fitting =
                            mappings
                                .filter(|mapping| mapping.is_of(map))
                                .filter(|mapping| {
                                    mapping.admits(user, role, &self.known) != Some(false)
                                });
                        let why = || {
                            format!(
                                "`{text}` decides, and no mapping of `{map}` lets the system user `{user}` be it"
                            )
                        };
                        fitting.next().is_none().then(why)
                    }
                }
            }
            _ if self.password => None,
            _ => Some(format!(
                "`{text}` asks for a password, and the site has none for it"
            )),
        }
    }
}
