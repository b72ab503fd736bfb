//! What `pg_controldata` prints of a data directory (`src/bin/pg_controldata/pg_controldata.c`). Its words
//! are translated: it is to run with `LC_ALL=C`.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::Result;

use crate::fault;

/// The part of `global/pg_control` that is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlData {
    /// Version of the system catalogues; the same major version has the same one.
    pub catalog_version: u32,
    /// Given by `initdb`; a standby has that of its primary.
    pub system_identifier: u64,
    pub state: ClusterState,
    /// The timeline of the latest checkpoint.
    pub timeline: u32,
    /// Whether data pages have checksums and these are verified.
    pub checksums: bool,
    /// Size of a data page, in bytes.
    pub block_size: u32,
    /// Size of a WAL segment, in bytes.
    pub wal_segment_size: u32,
    pub wal_level: String,
    /// This and the following four were in force when the server last ran; a standby must not have less.
    pub max_connections: u32,
    pub max_worker_processes: u32,
    pub max_wal_senders: u32,
    pub max_prepared_transactions: u32,
    pub max_locks_per_transaction: u32,
}

/// What the cluster was doing when the file was last written (`DBState` in `src/include/catalog/pg_control.h`).
/// After a crash it stays at what was going on before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterState {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
}

impl ClusterState {
    const ALL: [Self; 7] = [
        Self::StartingUp,
        Self::ShutDown,
        Self::ShutDownInRecovery,
        Self::ShuttingDown,
        Self::InCrashRecovery,
        Self::InArchiveRecovery,
        Self::InProduction,
    ];

    /// The words of `pg_controldata`.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartingUp => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
        }
    }

    /// Whether the server was stopped in order, so that its files are consistent.
    pub fn is_shut_down(self) -> bool {
        matches!(self, Self::ShutDown | Self::ShutDownInRecovery)
    }
}

/// Version of the only checksum algorithm there is. PostgreSQL 19 has other numbers for checksums that
/// are just being enabled or disabled.
const CHECKSUMS_ON: u32 = 1;

/// The system identifier in `global/pg_control`: its first field, in every major (`ControlFileData` in `pg_control.h`).
pub fn identifier(control: &[u8]) -> Option<u64> {
    control
        .first_chunk()
        .map(|bytes| u64::from_ne_bytes(*bytes))
}

impl ControlData {
    /// Reads the output of `pg_controldata`; what is missing or in other words is an error that names it.
    pub fn parse(output: &[u8]) -> Result<Self> {
        let output = String::from_utf8_lossy(output);
        let fields = Fields(
            output
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(label, value)| (label.trim(), value.trim()))
                .collect(),
        );
        Ok(Self {
            catalog_version: fields.number("Catalog version number")?,
            system_identifier: fields.number("Database system identifier")?,
            state: fields.state("Database cluster state")?,
            timeline: fields.number("Latest checkpoint's TimeLineID")?,
            checksums: fields.number::<u32>("Data page checksum version")? == CHECKSUMS_ON,
            block_size: fields.number("Database block size")?,
            wal_segment_size: fields.number("Bytes per WAL segment")?,
            wal_level: fields.text("wal_level setting")?.to_owned(),
            max_connections: fields.number("max_connections setting")?,
            max_worker_processes: fields.number("max_worker_processes setting")?,
            max_wal_senders: fields.number("max_wal_senders setting")?,
            max_prepared_transactions: fields.number("max_prepared_xacts setting")?,
            max_locks_per_transaction: fields.number("max_locks_per_xact setting")?,
        })
    }
}

struct Fields<'a>(HashMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn text(&self, label: &str) -> Result<&'a str> {
        self.0.get(label).copied().ok_or_else(|| {
            fault!(Command, "`pg_controldata` printed no `{label}`";
                "run it on the data directory to see what it says")
        })
    }

    fn number<T: FromStr>(&self, label: &str) -> Result<T> {
        let value = self.text(label)?;
        value.parse().map_err(|_| unexpected(label, value))
    }

    fn state(&self, label: &str) -> Result<ClusterState> {
        let value = self.text(label)?;
        ClusterState::ALL
            .into_iter()
            .find(|state| state.name() == value)
            .ok_or_else(|| unexpected(label, value))
    }
}

fn unexpected(label: &str, value: &str) -> anyhow::Error {
    fault!(Command, "`pg_controldata` printed an unexpected `{label}`: `{value}`";
        "check that the program is of the same major version as the data directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Kind};
    use proptest::prelude::*;

    const PRINTED: &str = "\
pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7710462549201524684
Database cluster state:               shut down
pg_control last modified:             Sat Nov 21 03:32:38 2026
Latest checkpoint location:           0/17414F8
Latest checkpoint's REDO location:    0/17414F8
Latest checkpoint's REDO WAL file:    000000030000000000000001
Latest checkpoint's TimeLineID:       3
Latest checkpoint's PrevTimeLineID:   1
Latest checkpoint's full_page_writes: on
Latest checkpoint's NextXID:          0:724
Latest checkpoint's oldestCommitTsXid:0
Time of latest checkpoint:            Sat Nov 21 03:32:38 2026
Min recovery ending loc's timeline:   0
End-of-backup record required:        no
wal_level setting:                    replica
wal_log_hints setting:                off
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
track_commit_timestamp setting:       off
Maximum data alignment:               8
Database block size:                  8192
Blocks per segment of large relation: 131072
WAL block size:                       8192
Bytes per WAL segment:                16777216
Date/time type storage:               64-bit integers
Data page checksum version:           1
";

    #[test]
    fn printed() {
        assert_eq!(
            ControlData::parse(PRINTED.as_bytes()).unwrap(),
            ControlData {
                catalog_version: 202_209_061,
                system_identifier: 7_710_462_549_201_524_684,
                state: ClusterState::ShutDown,
                timeline: 3,
                checksums: true,
                block_size: 8192,
                wal_segment_size: 16_777_216,
                wal_level: "replica".to_owned(),
                max_connections: 100,
                max_worker_processes: 8,
                max_wal_senders: 10,
                max_prepared_transactions: 0,
                max_locks_per_transaction: 64,
            }
        );
    }

    #[test]
    fn checksums() {
        for (version, on) in [("0", false), ("1", true), ("2", false)] {
            let printed = PRINTED.replace(
                "checksum version:           1",
                &format!("checksum version: {version}"),
            );
            let control = ControlData::parse(printed.as_bytes()).unwrap();
            assert_eq!(control.checksums, on, "{version}");
        }
    }

    #[test]
    fn states() {
        for (name, state, shut_down) in [
            ("starting up", ClusterState::StartingUp, false),
            ("shut down", ClusterState::ShutDown, true),
            (
                "shut down in recovery",
                ClusterState::ShutDownInRecovery,
                true,
            ),
            ("shutting down", ClusterState::ShuttingDown, false),
            ("in crash recovery", ClusterState::InCrashRecovery, false),
            (
                "in archive recovery",
                ClusterState::InArchiveRecovery,
                false,
            ),
            ("in production", ClusterState::InProduction, false),
        ] {
            let printed = PRINTED.replace("shut down", name);
            let control = ControlData::parse(printed.as_bytes()).unwrap();
            assert_eq!(control.state, state);
            assert_eq!(state.is_shut_down(), shut_down, "{name}");
        }
    }

    #[test]
    fn refused() {
        for (printed, msg) in [
            (
                PRINTED.replace("shut down", "heruntergefahren"),
                "`pg_controldata` printed an unexpected `Database cluster state`: `heruntergefahren`",
            ),
            (
                PRINTED.replace("202209061", "-1"),
                "`pg_controldata` printed an unexpected `Catalog version number`: `-1`",
            ),
            (
                String::new(),
                "`pg_controldata` printed no `Catalog version number`",
            ),
        ] {
            let error = ControlData::parse(printed.as_bytes()).unwrap_err();
            let fault = Fault::of(&error).unwrap();
            assert_eq!((fault.kind, fault.msg.as_str()), (Kind::Command, msg));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn nothing_panics(output in any::<Vec<u8>>(), cut in 0..PRINTED.len()) {
            let _ = ControlData::parse(&output);
            prop_assert!(ControlData::parse(&PRINTED.as_bytes()[..cut]).is_err() || cut >= PRINTED.len() - 1);
        }
    }
}
