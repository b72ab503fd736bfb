//! Programs that run on a host beside its instances, under a unit of their own.

use camino::Utf8PathBuf;

use crate::host::Command;

/// A program that runs as long as the host does. Its unit file is an item of the site
/// ([`Purpose::Unit`](super::item::Purpose::Unit)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name of the unit.
    pub unit: &'static str,
    /// What it is to people: "the TLS server of pgBackRest".
    pub title: &'static str,
    /// Where it listens.
    pub port: u16,
    /// How it is started where no service manager does.
    pub command: Command,
    /// What it reads when it starts, and when it is told to reload.
    pub reads: Vec<Utf8PathBuf>,
}
