//! Which record decides on a connection, and why those above it do not: `check_hba` in hba.c, asked in its order (type,
//! SSL, GSS, address, database, user). What cannot be known from here is told, not guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::record::Origin;
use super::{ConnectionType, Record};
use crate::pg::auth_file::expand::{Listed, WITH_INCLUDES};

/// A connection that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub user: String,
    pub database: String,
    /// Of the client; none for the Unix-domain socket.
    pub address: Option<IpAddr>,
    pub encryption: Encryption,
    /// Physical replication, which is for no database.
    pub replication: bool,
}

/// How a TCP connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    #[default]
    None,
    Ssl,
    Gss,
}

/// What is known beside the file.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub major: u32,
    /// The roles that the user is a member of, by whatever way, itself included; none when nobody could be asked.
    pub groups: Option<BTreeSet<String>>,
    /// Of regular expressions and names whether they match, as the server says.
    pub expressions: BTreeMap<(String, String), bool>,
    /// Addresses of this host with their netmasks.
    pub interfaces: Vec<(IpAddr, IpAddr)>,
}

/// Whether a record is for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Matches,
    /// Why it is not.
    Differs(String),
    /// What would have to be known.
    Unknown(String),
}

/// The judgement on the records of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Of the records up to the deciding one, by their places in the list. What PostgreSQL refuses is not among them.
    pub verdicts: Vec<(usize, Verdict)>,
    /// The record that decides; none: no record matches, which means that the connection is refused.
    pub decides: Option<usize>,
}

impl Explanation {
    /// The records above the deciding one of which it is not known whether they match.
    pub fn uncertain(&self) -> impl Iterator<Item = usize> {
        self.verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Unknown(_)))
            .map(|(at, _)| *at)
    }
}

/// Goes through the records as the server does.
pub fn explain(list: &[Listed<Record>], connection: &Connection, known: &Known) -> Explanation {
    let mut verdicts = Vec::new();
    for (at, listed) in list.iter().enumerate() {
        let Ok(record) = &listed.record else { continue };
        let verdict = judge(record, connection, known);
        let decides = verdict == Verdict::Matches;
        verdicts.push((at, verdict));
        if decides {
            return Explanation {
                verdicts,
                decides: Some(at),
            };
        }
    }
    Explanation {
        verdicts,
        decides: None,
    }
}

/// The questions that only the server can answer, for [`Known::expressions`]: expressions, and the name that each is to match.
pub fn expressions(list: &[Listed<Record>], connection: &Connection) -> Vec<(String, String)> {
    let records = list.iter().filter_map(|listed| listed.record.as_ref().ok());
    let pairs = records.flat_map(|record| {
        let databases = record
            .databases
            .iter()
            .map(|name| (name, &connection.database));
        databases.chain(record.users.iter().map(|name| (name, &connection.user)))
    });
    let asked = pairs.filter_map(|(name, against)| {
        let pattern = pattern(name, WITH_INCLUDES)?;
        Some((pattern.to_owned(), against.clone()))
    });
    asked.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The regular expression that a word in the place of a database or user is.
pub fn pattern(name: &str, major: u32) -> Option<&str> {
    match Name::of(name, major) {
        Name::Expression(pattern) => Some(pattern),
        _ => None,
    }
}

/// Whether one record is for a connection, whatever stands above it.
pub fn judge(record: &Record, connection: &Connection, known: &Known) -> Verdict {
    let checks = [kind, address, database, user];
    let mut unknown = None;
    for check in checks {
        match check(record, connection, known) {
            Verdict::Matches => {}
            // One certain no is enough.
            differs @ Verdict::Differs(_) => return differs,
            Verdict::Unknown(what) => unknown = unknown.or(Some(what)),
        }
    }
    unknown.map_or(Verdict::Matches, Verdict::Unknown)
}

fn kind(record: &Record, connection: &Connection, _: &Known) -> Verdict {
    use ConnectionType as Type;
    let differs = |why: &str| Verdict::Differs(format!("it is for {why}"));
    let encryption = connection.encryption;
    match (record.kind, connection.address) {
        (Type::Local, Some(_)) => differs("local connections"),
        (Type::Local, None) => Verdict::Matches,
        (_, None) => differs("TCP connections"),
        (Type::HostSsl, _) if encryption != Encryption::Ssl => differs("connections with SSL"),
        (Type::HostNoSsl, _) if encryption == Encryption::Ssl => differs("connections without SSL"),
        (Type::HostGssEnc, _) if encryption != Encryption::Gss => {
            differs("connections encrypted by GSSAPI")
        }
        (Type::HostNoGssEnc, _) if encryption == Encryption::Gss => {
            differs("connections not encrypted by GSSAPI")
        }
        _ => Verdict::Matches,
    }
}

fn address(record: &Record, connection: &Connection, known: &Known) -> Verdict {
    let (Some(client), Some(origin)) = (connection.address, record.origin()) else {
        return Verdict::Matches;
    };
    let shown = record.shown_address();
    let fits = |fits: bool| {
        if fits {
            Verdict::Matches
        } else {
            Verdict::Differs(format!("address {client} is not in `{shown}`"))
        }
    };
    match origin {
        Origin::All => Verdict::Matches,
        Origin::SameHost => fits(known.interfaces.iter().any(|(own, _)| *own == client)),
        Origin::SameNet => {
            fits(known.interfaces.iter().any(|(own, mask)| {
                Origin::network(*own, *mask).is_some_and(|net| net.holds(client))
            }))
        }
        Origin::Name(_) => Verdict::Unknown(format!(
            "whether the name of {client}, which the server looks up, is `{shown}`"
        )),
        network @ Origin::Network { .. } => fits(network.holds(client)),
    }
}

fn database(record: &Record, connection: &Connection, known: &Known) -> Verdict {
    let named = &connection.database;
    let differs = if connection.replication {
        "it is not for `replication`".to_owned()
    } else {
        format!("database `{named}` is not `{}`", record.databases.join(","))
    };
    any(&record.databases, differs, |name| {
        let name = Name::of(name, known.major);
        // A connection for physical replication is to no database (check_db).
        if connection.replication {
            return Some(name == Name::Keyword("replication"));
        }
        match name {
            Name::Keyword("all") => Some(true),
            Name::Keyword("sameuser") => Some(*named == connection.user),
            Name::Keyword("samerole" | "samegroup") => known.is_member(&connection.user, named),
            Name::Keyword("replication") => Some(false),
            Name::Expression(pattern) => known.matches(pattern, named),
            name => Some(name.is(named)),
        }
    })
}

fn user(record: &Record, connection: &Connection, known: &Known) -> Verdict {
    let named = &connection.user;
    let differs = format!("user `{named}` is not `{}`", record.users.join(","));
    any(&record.users, differs, |name| known.is_role(name, named))
}

/// Whether one of the names fits; what is not known of one does not matter where another one does.
fn any(names: &[String], differs: String, fits: impl Fn(&str) -> Option<bool>) -> Verdict {
    let mut unknown = None;
    for name in names {
        match fits(name) {
            Some(true) => return Verdict::Matches,
            Some(false) => {}
            None => unknown = unknown.or(Some(name)),
        }
    }
    unknown.map_or(Verdict::Differs(differs), |name| {
        Verdict::Unknown(format!(
            "whether `{name}` fits, which only the running server knows"
        ))
    })
}

impl Known {
    /// Whether a word in the place of a user means this role (`check_role` in hba.c).
    pub fn is_role(&self, word: &str, role: &str) -> Option<bool> {
        match Name::of(word, self.major) {
            Name::Keyword("all") => Some(true),
            Name::Member(group) => self.is_member(role, group),
            Name::Expression(pattern) => self.matches(pattern, role),
            name => Some(name.is(role)),
        }
    }

    /// A superuser is not taken for a member, a role is one of itself (`is_member` in hba.c).
    fn is_member(&self, user: &str, group: &str) -> Option<bool> {
        match &self.groups {
            Some(groups) => Some(groups.contains(group)),
            // A role that does not exist is a member of nothing, and does not get in either.
            None if user == group => Some(true),
            None => None,
        }
    }

    fn matches(&self, pattern: &str, name: &str) -> Option<bool> {
        let key = (pattern.to_owned(), name.to_owned());
        self.expressions.get(&key).copied()
    }
}

/// What a word in the place of a database or user means.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    Keyword(&'a str),
    /// `+group`
    Member(&'a str),
    /// `/expression`, as of PostgreSQL 16.
    Expression(&'a str),
    Plain(&'a str),
    /// In quotes, which keep it from meaning more.
    Quoted(String),
}

impl<'a> Name<'a> {
    fn of(name: &'a str, major: u32) -> Self {
        let quoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        match (name, quoted) {
            (_, Some(inner)) => Self::Quoted(inner.replace("\"\"", "\"")),
            ("all" | "sameuser" | "samerole" | "samegroup" | "replication", _) => {
                Self::Keyword(name)
            }
            _ => match (name.strip_prefix('+'), name.strip_prefix('/')) {
                (Some(group), _) => Self::Member(group),
                (_, Some(pattern)) if major >= WITH_INCLUDES => Self::Expression(pattern),
                _ => Self::Plain(name),
            },
        }
    }

    /// For what stands for itself; keywords of the other column do.
    fn is(&self, other: &str) -> bool {
        match self {
            Self::Keyword(name) | Self::Plain(name) => *name == other,
            Self::Quoted(name) => name == other,
            // `+x` in the place of a database is a name.
            Self::Member(name) => other.strip_prefix('+') == Some(name),
            Self::Expression(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
