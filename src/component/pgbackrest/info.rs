//! What `pgbackrest info --output=json` says (command reference, "info").

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::Deserialize;

use super::trouble;
use crate::backup::{Archive, Backup, Catalogue, Kind, Tablespace};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Stanza {
    #[serde(default)]
    name: String,
    #[serde(default)]
    archive: Vec<WalArchive>,
    #[serde(default)]
    backup: Vec<Entry>,
    #[serde(default)]
    db: Vec<Cluster>,
    #[serde(default)]
    repo: Vec<Repo>,
    status: Option<Status>,
}

/// A cluster that the stanza is, or was, of.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    id: u32,
    #[serde(default = "first")]
    repo_key: u16,
    system_id: u64,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Database {
    id: u32,
    #[serde(default = "first")]
    repo_key: u16,
}

#[derive(Deserialize)]
struct WalArchive {
    database: Database,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    #[serde(default)]
    archive: Segments,
    database: Database,
    #[serde(default)]
    database_ref: Option<Vec<Named>>,
    error: Option<bool>,
    info: Sizes,
    label: String,
    #[serde(default)]
    lsn: Positions,
    prior: Option<String>,
    /// Told of one backup only.
    tablespace: Option<Vec<Space>>,
    timestamp: Times,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Space {
    destination: Utf8PathBuf,
    name: String,
    oid: u64,
}

#[derive(Default, Deserialize)]
struct Segments {
    start: Option<String>,
    stop: Option<String>,
}

#[derive(Default, Deserialize)]
struct Positions {
    start: Option<String>,
    stop: Option<String>,
}

#[derive(Deserialize)]
struct Sizes {
    size: u64,
    #[serde(default)]
    repository: Repository,
}

#[derive(Default, Deserialize)]
struct Repository {
    /// Not told for block incremental backups.
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Times {
    start: i64,
    stop: i64,
}

#[derive(Deserialize)]
struct Repo {
    #[serde(default = "first")]
    key: u16,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    code: u32,
    message: String,
    lock: Option<Locks>,
}

#[derive(Deserialize)]
struct Locks {
    backup: Held,
}

#[derive(Deserialize)]
struct Held {
    held: bool,
}

fn first() -> u16 {
    1
}

/// What is no problem: all is well; there is no stanza yet; there are no backups yet.
const HARMLESS: [u32; 3] = [0, 1, 2];

fn read(output: &[u8]) -> Result<Vec<Stanza>> {
    let text = String::from_utf8_lossy(output);
    // 2.60 prints its warnings before the answer.
    let answer = text.find("\n[").filter(|_| !text.starts_with('['));
    let (_, text) = text.split_at(answer.unwrap_or(0));
    // What it says of a file that it could not decipher is that file.
    let text = text.replace(char::is_control, " ");
    serde_json::from_str(&text).context("what `pgbackrest info` printed")
}

/// The names of all stanzas.
pub fn names(output: &[u8]) -> Result<Vec<String>> {
    Ok(read(output)?
        .into_iter()
        .map(|stanza| stanza.name)
        .collect())
}

/// The tablespaces in a backup that was asked for alone.
pub fn tablespaces(output: &[u8]) -> Result<Vec<Tablespace>> {
    let backups = read(output)?.into_iter().flat_map(|stanza| stanza.backup);
    let spaces = backups.flat_map(|backup| backup.tablespace.unwrap_or_default());
    Ok(spaces
        .map(|space| Tablespace {
            oid: space.oid,
            name: space.name,
            location: space.destination,
        })
        .collect())
}

/// What the archive of a cluster is called.
pub fn archive(output: &[u8], cluster: u64) -> Result<Option<String>> {
    let stanza = read(output)?.into_iter().next();
    let own = stanza.into_iter().flat_map(|stanza| stanza.db);
    // Of several repositories the first is asked.
    let mut own = own.filter(|own| own.repo_key == 1 && own.system_id == cluster);
    Ok(own
        .next_back()
        .map(|own| format!("{}-{}", own.version, own.id)))
}

/// What there is of one stanza.
pub fn parse(output: &[u8]) -> Result<Catalogue> {
    let Some(stanza) = read(output)?.into_iter().next() else {
        return Ok(Catalogue::default());
    };
    let by_id: BTreeMap<(u16, u32), &Cluster> = stanza
        .db
        .iter()
        .map(|cluster| ((cluster.repo_key, cluster.id), cluster))
        .collect();
    let found = |database: &Database| by_id.get(&(database.repo_key, database.id));
    let cluster = |database: &Database| found(database).map_or(0, |cluster| cluster.system_id);
    let mut backups = stanza
        .backup
        .into_iter()
        .map(|entry| {
            Ok(Backup {
                kind: entry.kind,
                version: found(&entry.database).map_or_else(String::new, |own| own.version.clone()),
                date_start: Timestamp::from_second(entry.timestamp.start)?,
                date_stop: Timestamp::from_second(entry.timestamp.stop)?,
                size: entry.info.size,
                repo_size: entry.info.repository.size,
                databases: entry
                    .database_ref
                    .map(|named| named.into_iter().map(|named| named.name).collect()),
                wal_start: entry.archive.start,
                wal_stop: entry.archive.stop,
                lsn_start: entry.lsn.start,
                lsn_stop: entry.lsn.stop,
                prior: entry.prior,
                error: entry.error == Some(true),
                repository: entry.database.repo_key,
                system_identifier: cluster(&entry.database),
                tablespaces: Vec::new(),
                label: entry.label,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    backups.sort_by(|a, b| (b.date_stop, &b.label).cmp(&(a.date_stop, &a.label)));
    let archives = stanza
        .archive
        .into_iter()
        .map(|archive| Archive {
            system_identifier: cluster(&archive.database),
            repository: archive.database.repo_key,
            wal_min: archive.min,
            wal_max: archive.max,
        })
        .collect();
    let mut clusters: Vec<(u32, u64)> = stanza
        .db
        .iter()
        .map(|cluster| (cluster.id, cluster.system_id))
        .collect();
    clusters.sort_unstable();
    clusters.dedup();
    let status = stanza.status.as_ref();
    Ok(Catalogue {
        backups,
        clusters: clusters.into_iter().map(|(_, cluster)| cluster).collect(),
        archives,
        busy: status
            .and_then(|status| status.lock.as_ref())
            .is_some_and(|lock| lock.backup.held),
        problems: stanza
            .repo
            .into_iter()
            .filter(|repo| !HARMLESS.contains(&repo.status.code))
            .map(|repo| {
                let why = trouble::brief(repo.status.message.trim());
                format!("repository {}: {why}", repo.key)
            })
            .collect(),
        unreadable: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stanza_that_is_not_there() {
        let catalogue = parse(br#"[{"archive":[],"backup":[],"cipher":"none","db":[],"name":"app","repo":[{"cipher":"none","key":1,"status":{"code":1,"message":"missing stanza path"}}],"status":{"code":1,"lock":{"backup":{"held":false}},"message":"missing stanza path"}}]"#).unwrap();
        assert_eq!(catalogue, Catalogue::default());
        assert_eq!(parse(b"[]").unwrap(), Catalogue::default());
    }

    /// As pgBackRest 2.45 printed it.
    #[test]
    fn a_stanza_with_a_backup() {
        let catalogue = parse(br#"[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000003","min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000003","stop":"000000010000000000000003"},"backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},"error":false,"info":{"delta":23010874,"repository":{"delta":3041423,"size":3041423},"size":23010874},"label":"20261127-203328F","lsn":{"start":"0/3000028","stop":"0/3001E88"},"prior":null,"reference":null,"timestamp":{"start":1795811608,"stop":1795811614},"type":"full"}],"cipher":"none","db":[{"id":1,"repo-key":1,"system-id":7712952106164794826,"version":"15"}],"name":"app","repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"lock":{"backup":{"held":true}},"message":"ok"}}]"#).unwrap();
        assert!(catalogue.busy);
        assert_eq!(catalogue.cluster(), Some(7_712_952_106_164_794_826));
        insta::assert_json_snapshot!(&catalogue.backups[0], @r#"
        {
          "label": "20261127-203328F",
          "type": "full",
          "version": "15",
          "date_start": "2026-11-27T20:33:28Z",
          "date_stop": "2026-11-27T20:33:34Z",
          "size": 23010874,
          "repo_size": 3041423,
          "databases": null,
          "wal_start": "000000010000000000000003",
          "wal_stop": "000000010000000000000003",
          "lsn_start": "0/3000028",
          "lsn_stop": "0/3001E88",
          "prior": null,
          "error": false,
          "repository": 1,
          "system_identifier": "7712952106164794826"
        }
        "#);
    }

    #[test]
    fn the_archive_of_a_cluster() {
        let output = br#"[{"db":[{"id":1,"repo-key":1,"system-id":7,"version":"15"},{"id":2,"repo-key":1,"system-id":8,"version":"17"},{"id":2,"repo-key":2,"system-id":9,"version":"17"}],"name":"app"}]"#;
        for (cluster, wanted) in [(7, Some("15-1")), (8, Some("17-2")), (9, None)] {
            assert_eq!(archive(output, cluster).unwrap().as_deref(), wanted);
        }
    }

    #[test]
    fn tablespaces_of_a_backup() {
        let of = |spaces: &str| {
            let entry = format!(
                r#"{{"database":{{"id":1}},"info":{{"size":1}},"label":"L","prior":null,"timestamp":{{"start":1,"stop":2}},"type":"full"{spaces}}}"#
            );
            let output = format!(r#"[{{"backup":[{entry}],"name":"app","repo":[]}}]"#);
            tablespaces(output.as_bytes()).unwrap()
        };
        assert_eq!(
            of(r#","tablespace":[{"destination":"/srv/fast","name":"fast","oid":16385}]"#),
            [Tablespace {
                oid: 16385,
                name: "fast".into(),
                location: "/srv/fast".into(),
            }]
        );
        assert_eq!(of(r#","tablespace":null"#), []);
        assert_eq!(of(""), []);
    }

    #[test]
    fn what_is_wrong_is_told_in_its_words() {
        let catalogue = parse(br#"[{"archive":[],"backup":[],"db":[],"name":"app","repo":[{"key":2,"status":{"code":99,"message":"[CryptoError] unable to flush\n"}}],"status":{"code":99,"message":"other"}}]"#).unwrap();
        assert_eq!(
            catalogue.problems,
            ["repository 2: [CryptoError] unable to flush"]
        );
    }

    /// As pgBackRest 2.60 printed it.
    #[test]
    fn warnings_before_the_answer() {
        let catalogue = parse(b"P00   WARN: configuration file contains invalid option 'bogus'\n[{\"name\":\"app\",\"repo\":[{\"key\":1,\"status\":{\"code\":99,\"message\":\"no\"}}]}]").unwrap();
        assert_eq!(catalogue.problems, ["repository 1: no"]);
    }

    #[test]
    fn noise_is_no_bug() {
        let catalogue = parse(b"[{\"archive\":[],\"backup\":[],\"db\":[],\"name\":\"app\",\"repo\":[{\"key\":1,\"status\":{\"code\":99,\"message\":\"line 1: \x01\xff\"}}]}]").unwrap();
        assert_eq!(catalogue.problems, ["repository 1: line 1:  \u{fffd}"]);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
