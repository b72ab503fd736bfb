//! One record of `pg_hba.conf`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::Result;

use super::method;
use crate::pg::auth_file::{self, Entry, Token, is_writable, single, written};
use crate::secret::Secret;
use crate::{bail_fault, fault};

/// Who may connect, from where, and how.
///
/// Names are bare (`my db`), keywords too (`all`, `samerole`, `+group`, `@file`); where a name would be taken
/// for a keyword it is in double quotes, see [`name`](super::name).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Record {
    pub kind: ConnectionType,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    /// A host name, a network in CIDR notation, an IP address, `all`, `samehost` or `samenet`; nothing for
    /// `local`. An IP address without netmask means that address alone.
    pub address: Option<String>,
    pub netmask: Option<String>,
    pub method: String,
    /// Of the method: `map`, `ldapserver`, …
    pub options: Vec<(String, String)>,
}

/// What kind of connection a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ConnectionType {
    /// Unix-domain sockets.
    #[default]
    Local,
    /// TCP/IP, encrypted or not.
    Host,
    HostSsl,
    HostNoSsl,
    HostGssEnc,
    HostNoGssEnc,
}

impl ConnectionType {
    const ALL: [Self; 6] = [
        Self::Local,
        Self::Host,
        Self::HostSsl,
        Self::HostNoSsl,
        Self::HostGssEnc,
        Self::HostNoGssEnc,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Host => "host",
            Self::HostSsl => "hostssl",
            Self::HostNoSsl => "hostnossl",
            Self::HostGssEnc => "hostgssenc",
            Self::HostNoGssEnc => "hostnogssenc",
        }
    }
}

impl fmt::Display for ConnectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ConnectionType {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                fault!(Input, "unknown connection type `{text}`"; "one of {known}")
            })
    }
}

/// As a line, its secrets masked.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&auth_file::masked::<Self>(&self.render_line()))
    }
}

impl Entry for Record {
    const FILE: &'static str = "pg_hba.conf";
    const HEADING: &'static str = "# TYPE";
    const SECRETS: &'static [&'static str] = &["ldapbindpasswd", "radiussecrets"];

    fn parse(fields: &[Vec<Token>]) -> Result<Self, String> {
        let mut fields = fields.iter();
        let kind: ConnectionType = single(fields.next(), "connection type")?
            .text
            .parse()
            .map_err(|error: anyhow::Error| error.to_string())?;
        let mut names = |what: &str| match fields.next() {
            Some(field) => Ok(field.iter().map(Token::normal).collect()),
            None => Err(format!("no {what}")),
        };
        let databases = names("database")?;
        let users = names("user")?;
        let (mut address, mut netmask) = (None, None);
        if kind != ConnectionType::Local {
            let text = single(fields.next(), "address")?.normal();
            if text.contains('/') && network(&text, None).is_none() {
                return Err(format!("invalid address `{text}`"));
            }
            if !text.contains('/') && network(&text, None).is_some() {
                let mask = &single(fields.next(), "netmask")?.text;
                if network(&text, Some(mask)).is_none() {
                    return Err(format!("invalid netmask behind the address `{text}`"));
                }
                netmask = Some(mask.clone());
            }
            address = Some(text);
        }
        let method = single(fields.next(), "authentication method")?.text.clone();
        let options = fields
            .flatten()
            .map(|option| match option.text.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err("an option is not of the form name=value".to_owned()),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            kind,
            databases,
            users,
            address,
            netmask,
            method,
            options,
        })
    }

    fn refusal(&self) -> Option<String> {
        method::refusal(self.kind, &self.method, &self.options)
    }

    fn render_line(&self) -> String {
        let list = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| written(name)).collect();
            names.join(",")
        };
        let address = match (&self.address, &self.netmask) {
            _ if self.kind == ConnectionType::Local => String::new(),
            (Some(address), Some(netmask)) => format!("{} {}", written(address), written(netmask)),
            (Some(address), None) => match address.parse() {
                Ok(IpAddr::V4(_)) => format!("{address}/32"),
                Ok(IpAddr::V6(_)) => format!("{address}/128"),
                Err(_) => written(address),
            },
            (None, _) => String::new(),
        };
        let mut line = format!(
            "{:<7} {:<15} {:<15} {:<23} {}",
            self.kind.as_str(),
            list(&self.databases),
            list(&self.users),
            address,
            written(&self.method)
        );
        for (name, value) in &self.options {
            let value = match written(value) {
                _ if value.is_empty() => "\"\"".to_owned(),
                // A value keeps the quotes that are part of it.
                text if value.starts_with('"') && text == *value => {
                    format!("\"{}\"", value.replace('"', "\"\""))
                }
                text => text,
            };
            line.push(' ');
            line.push_str(name);
            line.push('=');
            line.push_str(&value);
        }
        line
    }

    /// Spelling of the network, order of names and of options do not count, nor do words that PostgreSQL has two of.
    fn same(&self, other: &Self) -> bool {
        fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
            let mut items: Vec<&T> = items.iter().collect();
            items.sort_unstable();
            items.dedup();
            items
        }
        // `samegroup` is the old word for `samerole` (check_db in hba.c).
        let databases = |record: &Self| {
            let databases = record.databases.iter();
            let databases = databases.map(|name| match name.as_str() {
                "samegroup" => "samerole".to_owned(),
                _ => name.clone(),
            });
            databases.collect::<BTreeSet<_>>()
        };
        self.kind == other.kind
            && databases(self) == databases(other)
            && sorted(&self.users) == sorted(&other.users)
            && self.origin() == other.origin()
            && self.effective_method() == other.effective_method()
            && sorted(&self.options) == sorted(&other.options)
    }

    /// # Errors
    /// Databases, users or method missing, an address where there must be none or none where there must be
    /// one, an invalid network, a line break in a name, a method that is not for such connections or lacks an option.
    fn check(&self) -> Result<()> {
        let Self { kind, method, .. } = self;
        if self.databases.is_empty() || self.users.is_empty() || method.is_empty() {
            bail_fault!(
                Input,
                "a record of `pg_hba.conf` needs databases, users and a method"
            );
        }
        match (&self.address, &self.netmask) {
            (None, None) if *kind == ConnectionType::Local => {}
            (Some(_), _) | (_, Some(_)) if *kind == ConnectionType::Local => {
                bail_fault!(Input, "a `local` record of `pg_hba.conf` has no address"; "use the type `host`");
            }
            (None, _) => {
                bail_fault!(Input, "a `{kind}` record of `pg_hba.conf` needs an address"; "such as `127.0.0.1/32` or `all`");
            }
            (Some(address), _) if address.is_empty() || address.contains(char::is_whitespace) => {
                bail_fault!(Input, "`{address}` is not an address"; "such as `192.168.1.0/24`, `.example.org` or `all`");
            }
            (Some(address), netmask) => {
                if (netmask.is_some() || address.contains('/'))
                    && network(address, netmask.as_deref()).is_none()
                {
                    bail_fault!(Input, "`{address}` is not a network"; "such as `192.168.1.0/24`, or an IP address and a netmask");
                }
            }
        }
        if self
            .databases
            .iter()
            .chain(&self.users)
            .any(String::is_empty)
        {
            bail_fault!(Input, "an empty name in a record of `pg_hba.conf`");
        }
        self.check_method()?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some((name, _)) = self.options.iter().find(|(name, _)| !is_name(name)) {
            bail_fault!(
                Input,
                "`{name}` is not the name of an option of `pg_hba.conf`"
            );
        }
        let options = self.options.iter().map(|(_, value)| value);
        let names = self
            .databases
            .iter()
            .chain(&self.users)
            .chain(&self.address);
        if !names
            .chain([method])
            .chain(options)
            .all(|text| is_writable(text))
        {
            bail_fault!(
                Input,
                "a name with a line break cannot be written to `pg_hba.conf`"
            );
        }
        Ok(())
    }
}

impl Record {
    fn check_method(&self) -> Result<()> {
        let Self { kind, method, .. } = self;
        match self.refusal() {
            None => Ok(()),
            Some(reason) => bail_fault!(
                Input,
                "{reason} (authentication method `{method}`)";
                "a record of type `{kind}` with it would keep the server from reading its `pg_hba.conf`"
            ),
        }
    }

    /// `ident` of a local connection is `peer` (`parse_hba_line` in hba.c).
    fn effective_method(&self) -> &str {
        match (self.kind, self.method.as_str()) {
            (ConnectionType::Local, "ident") => "peer",
            (_, method) => method,
        }
    }

    /// Gives the method an option whose value is not shown.
    pub fn secret_option(&mut self, name: &str, value: &Secret) {
        self.options
            .push((name.to_owned(), value.expose().to_owned()));
    }

    /// The address as one writes it.
    pub(super) fn shown_address(&self) -> String {
        let parts = [&self.address, &self.netmask].into_iter().flatten();
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn origin(&self) -> Option<Origin> {
        let address = self.address.as_deref()?;
        if self.kind == ConnectionType::Local {
            return None;
        }
        Some(match address {
            "all" => Origin::All,
            "samehost" => Origin::SameHost,
            "samenet" => Origin::SameNet,
            // Host names are compared without regard to case.
            _ => network(address, self.netmask.as_deref())
                .unwrap_or_else(|| Origin::Name(address.to_ascii_lowercase())),
        })
    }
}

/// Where connections of a record come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    All,
    /// The addresses of the server's host.
    SameHost,
    /// The networks of the server's host.
    SameNet,
    Network {
        v4: bool,
        bits: u128,
        mask: u128,
    },
    Name(String),
}

impl Origin {
    pub(super) fn network(address: IpAddr, mask: IpAddr) -> Option<Self> {
        (address.is_ipv4() == mask.is_ipv4()).then(|| Self::Network {
            v4: address.is_ipv4(),
            bits: bits(address) & bits(mask),
            mask: bits(mask),
        })
    }

    /// Whether an address is in the network. IPv4 is never taken for a part of IPv6 (`check_ip` in hba.c).
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Network {
                v4,
                bits: own,
                mask,
            } => *v4 == address.is_ipv4() && bits(address) & mask == *own,
            _ => false,
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address with its netmask or in CIDR notation; bits outside of the mask do not count.
fn network(address: &str, netmask: Option<&str>) -> Option<Origin> {
    let (address, prefix) = match address.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (address, None),
    };
    // The scope of a link-local address does not count.
    let address = match address.split_once('%') {
        Some((address, _)) if address.contains(':') => address,
        _ => address,
    };
    let address: IpAddr = address.parse().ok()?;
    let v4 = address.is_ipv4();
    let width: u32 = if v4 { 32 } else { 128 };
    let whole = u128::MAX >> (128 - width);
    let mask = match (prefix, netmask) {
        (Some(_), Some(_)) => return None,
        (None, None) => whole,
        (None, Some(netmask)) => {
            let netmask: IpAddr = netmask.parse().ok()?;
            if netmask.is_ipv4() != v4 {
                return None;
            }
            bits(netmask)
        }
        (Some(prefix), None) => {
            if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let host = width.checked_sub(prefix.parse().ok()?)?;
            whole & u128::MAX.checked_shl(host).unwrap_or(0)
        }
    };
    Some(Origin::Network {
        v4,
        bits: bits(address) & mask,
        mask,
    })
}
