//! One record of `pg_hba.conf`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::Result;

use crate::pg::auth_file::{Token, is_writable, single, written};
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
        f.write_str(&super::masked(&self.render_line()))
    }
}

impl Record {
    /// Reads the fields of a line; the error never names an option's value, which may be a password.
    pub(super) fn parse(fields: &[Vec<Token>]) -> Result<Self, String> {
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

    /// The record as a line without its end, in the columns of the file `initdb` writes.
    pub fn render_line(&self) -> String {
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

    /// Whether both mean the same: spelling of the network, order of names and of options do not count.
    pub fn same(&self, other: &Self) -> bool {
        fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
            let mut items: Vec<&T> = items.iter().collect();
            items.sort_unstable();
            items.dedup();
            items
        }
        self.kind == other.kind
            && sorted(&self.databases) == sorted(&other.databases)
            && sorted(&self.users) == sorted(&other.users)
            && self.origin() == other.origin()
            && self.method == other.method
            && sorted(&self.options) == sorted(&other.options)
    }

    /// Whether the record can be written and PostgreSQL would take its form.
    ///
    /// # Errors
    /// Databases, users or method missing, an address where there must be none or none where there must be
    /// one, an invalid network, or a line break in a name.
    pub fn check(&self) -> Result<()> {
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

    /// The combinations that `parse_hba_line` in hba.c refuses: with one of them in it the whole file is not read again,
    /// and a server that is restarted does not start.
    fn check_method(&self) -> Result<()> {
        let Self { kind, method, .. } = self;
        let has = |names: &[&str]| {
            self.options
                .iter()
                .any(|(name, _)| names.contains(&name.as_str()))
        };
        let local = *kind == ConnectionType::Local;
        let wrong = match method.as_str() {
            "peer" if !local => "is for `local` records only",
            "gss" if local => "is not for `local` records",
            "cert" if *kind != ConnectionType::HostSsl => "is for `hostssl` records only",
            "sspi" => "is for servers on Windows only",
            "ldap" if !has(&["ldapurl", "ldapbasedn", "ldapprefix", "ldapsuffix"]) => {
                "needs options (`ldapurl`, or `ldapprefix` or `ldapbasedn`)"
            }
            "radius" if !has(&["radiusservers"]) => {
                "needs options (`radiusservers`, `radiussecrets`)"
            }
            _ => return Ok(()),
        };
        bail_fault!(Input, "authentication method `{method}` {wrong}"; "a record of type `{kind}` with it would keep the server from reading its `pg_hba.conf`");
    }

    fn origin(&self) -> Option<Origin> {
        let address = self.address.as_deref()?;
        if self.kind == ConnectionType::Local {
            return None;
        }
        // Host names are compared without regard to case.
        Some(
            network(address, self.netmask.as_deref())
                .unwrap_or_else(|| Origin::Name(address.to_ascii_lowercase())),
        )
    }
}

#[derive(PartialEq, Eq)]
enum Origin {
    Network { v4: bool, bits: u128, mask: u128 },
    Name(String),
}

/// An address with its netmask or in CIDR notation; bits outside of the mask do not count.
fn network(address: &str, netmask: Option<&str>) -> Option<Origin> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
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
