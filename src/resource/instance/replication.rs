//! Which instances of this host follow which others, for acts on several of them in one call.

use std::cmp::Reverse;

use anyhow::Result;
use camino::Utf8Path;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{Look, Query};
use crate::pg::conf::Conf;
use crate::pg::conninfo::Conninfo;
use crate::resource::catalog;
use crate::resource::instance::checksums::control_data;
use crate::resource::instance::lookup::Identity;
use crate::resource::instance::target::{DEFAULT_PORT, Target};
use crate::settings::Settings;

/// An instance, as far as the order of restarts needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Node {
    /// The same for a primary and all its standbys; none when it is not known.
    system: Option<u64>,
    port: u16,
    /// The port of the server that a standby follows: 0 when it is not known. None: a primary.
    follows: Option<u16>,
}

/// Standbys before the instances that they follow, otherwise as they are given: a value that is raised (of
/// `max_connections`, for one) must be in force on the standbys first (documentation, 26.4.3).
pub fn restart_order(look: &dyn Look, site: &Settings, meant: Vec<Identity>) -> Vec<Identity> {
    // One that cannot be looked at keeps the others from nothing: its own restart says what is wrong with it.
    let found: Vec<Option<(Target, bool)>> = meant
        .iter()
        .map(|identity| standby(look, site, identity).ok())
        .collect();
    if meant.len() < 2 || !found.iter().flatten().any(|(_, standby)| *standby) {
        return meant;
    }
    let nodes: Vec<Node> = found
        .iter()
        .map(|found| {
            let (target, standby) = found.as_ref()?;
            node(look, target, *standby).ok()
        })
        .map(Option::unwrap_or_default)
        .collect();
    standbys_first(&nodes)
        .into_iter()
        .map(|index| meant[index].clone())
        .collect()
}

/// The instance, and whether it is a standby.
fn standby(look: &dyn Look, site: &Settings, (version, name): &Identity) -> Result<(Target, bool)> {
    let target = Target::new(site, look, *version, name)?;
    let signal = target.paths.datadir.join("standby.signal");
    let standby = look.stat(&signal)?.is_some();
    Ok((target, standby))
}

fn node(look: &dyn Look, target: &Target, standby: bool) -> Result<Node> {
    let running = target.running(look)?;
    let connected = match (&running, standby) {
        (Some(running), true) => {
            let query = Query {
                server: running.server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../../sql/wal_receiver.sql"),
                parameter: Value::Null,
            };
            // A standby that lets nobody in (yet) is restarted like others: its configuration must do.
            look.rows(query)
                .map_or(None, |rows: Vec<Connected>| rows.into_iter().next())
        }
        _ => None,
    };
    let follows = match connected {
        Some(primary) => Some(primary.port),
        None if standby => Some(configured(look, target)?.unwrap_or(0)),
        None => None,
    };
    let server = match running {
        Some(running) => running.server,
        None => target.configured_on_disk(look)?,
    };
    Ok(Node {
        system: control_data(look, target)?.map(|control| control.system_identifier),
        port: server.port,
        follows,
    })
}

#[derive(Deserialize)]
struct Connected {
    port: u16,
}

/// The port of `primary_conninfo`.
fn configured(look: &dyn Look, target: &Target) -> Result<Option<u16>> {
    let read = |path: &Utf8Path| Conf::parse(&look.read(path)?.unwrap_or_default());
    let auto = read(&target.paths.datadir.join("postgresql.auto.conf"))?;
    let conninfo = match auto.get("primary_conninfo") {
        Some(conninfo) => Some(conninfo),
        None => read(&target.paths.config_file)?.get("primary_conninfo"),
    };
    // A URI says no less, but is nothing that this program reads; the cluster's identity does then.
    Ok(conninfo
        .and_then(|text| Conninfo::parse(&text).ok())
        .map(|conninfo| {
            let port = conninfo.get("port").map(str::parse);
            port.and_then(Result::ok).unwrap_or(DEFAULT_PORT)
        }))
}

/// Places in the order of restarts: those farthest from a primary first, equals as they come.
fn standbys_first(nodes: &[Node]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&index| Reverse(distance(nodes, index)));
    order
}

/// How many servers a standby is away from the first one that follows none of the others.
fn distance(nodes: &[Node], mut index: usize) -> usize {
    let mut steps = 0;
    // A circle, which no working replication has, ends too.
    while let Some(next) = upstream(nodes, index).filter(|_| steps < nodes.len()) {
        index = next;
        steps += 1;
    }
    steps
}

/// The one that listens where a standby is connected; if none does, the primary of the same cluster.
fn upstream(nodes: &[Node], index: usize) -> Option<usize> {
    let own = &nodes[index];
    let port = own.follows?;
    let related = |other: &Node| own.system.is_none() || own.system == other.system;
    let others = || {
        nodes
            .iter()
            .enumerate()
            .filter(|(place, other)| *place != index && related(other))
    };
    others()
        .find(|(_, other)| other.port == port)
        .or_else(|| others().find(|(_, other)| other.follows.is_none() && own.system.is_some()))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_restarts() {
        let node = |system: u64, port: u16, follows: Option<u16>| Node {
            system: (system > 0).then_some(system),
            port,
            follows,
        };
        for (nodes, order) in [
            (vec![], vec![]),
            (vec![node(1, 1, None), node(2, 2, None)], vec![0, 1]),
            // A primary and its standbys.
            (
                vec![node(1, 1, None), node(1, 2, Some(1)), node(1, 3, Some(1))],
                vec![1, 2, 0],
            ),
            (vec![node(1, 2, Some(1)), node(1, 1, None)], vec![0, 1]),
            // Cascading.
            (
                vec![
                    node(1, 1, None),
                    node(1, 2, Some(1)),
                    node(1, 3, Some(2)),
                    node(2, 4, None),
                ],
                vec![2, 1, 0, 3],
            ),
            // Two pairs, and a primary on another host with the port of one here.
            (
                vec![
                    node(1, 1, None),
                    node(2, 3, None),
                    node(2, 4, Some(3)),
                    node(1, 2, Some(1)),
                    node(3, 5, Some(1)),
                ],
                vec![2, 3, 0, 1, 4],
            ),
            // Connected by way of something else (a pooler), or to nobody knows whom.
            (vec![node(1, 1, None), node(1, 2, Some(6432))], vec![1, 0]),
            (vec![node(1, 1, None), node(1, 2, Some(0))], vec![1, 0]),
            // Programs that are not there: the port must do.
            (vec![node(0, 1, None), node(0, 2, Some(1))], vec![1, 0]),
            (vec![node(0, 1, None), node(0, 2, Some(9))], vec![0, 1]),
            // A circle.
            (vec![node(1, 1, Some(2)), node(1, 2, Some(1))], vec![0, 1]),
        ] {
            assert_eq!(standbys_first(&nodes), order, "{nodes:?}");
        }
    }
}
