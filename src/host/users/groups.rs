//! The groups that a user is in. `id` asks every name service, which takes longer than many a run of ours; where
//! `/etc/group` is the whole truth, it is read instead.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::User;

/// Records of users that systemd's name service module (nss-systemd(8)) knows beside those of files.
const RECORDS: [&str; 5] = [
    "/etc/userdb",
    "/run/userdb",
    "/run/host/userdb",
    "/usr/local/lib/userdb",
    "/usr/lib/userdb",
];

/// Services that it asks, and those of them that tell of no memberships but those of records and files ("User/Group Record
/// Lookup API via Varlink" of systemd; for dynamic users `vl_method_get_memberships` in core-varlink.c).
const SERVICES: &str = "/run/systemd/userdb";
const WITHOUT_MEMBERSHIPS: [&str; 4] = [
    "io.systemd.DropIn",
    "io.systemd.DynamicUser",
    "io.systemd.Multiplexer",
    "io.systemd.NameServiceSwitch",
];

/// The numbers of all groups of a user.
pub fn of(user: &User) -> Result<Vec<u32>> {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let names = |path: &str| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let others = names(SERVICES)
        .iter()
        .any(|name| !WITHOUT_MEMBERSHIPS.contains(&name.as_str()))
        || RECORDS.iter().any(|path| !names(path).is_empty());
    let files_say_all = match sources(&read("/etc/nsswitch.conf")) {
        Sources::Files => true,
        Sources::FilesAndSystemd => !others,
        Sources::Others => false,
    };
    if files_say_all && let Ok(text) = fs_err::read_to_string("/etc/group") {
        return Ok(in_file(&text, user));
    }
    let output = Command::new("id")
        .args(["-G", &user.name])
        .stdin(Stdio::null())
        .output()
        .context("run id")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter_map(|group| group.parse().ok())
        .collect())
}

/// Who knows of groups (nsswitch.conf(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    Files,
    FilesAndSystemd,
    Others,
}

fn sources(configuration: &str) -> Sources {
    let line = |database: &str| {
        configuration
            .lines()
            .find_map(|line| line.trim().strip_prefix(database)?.strip_prefix(':'))
    };
    let Some(line) = line("initgroups").or_else(|| line("group")) else {
        return Sources::Others;
    };
    let line = line.split('#').next().unwrap_or_default();
    // `[SUCCESS=merge]` and the like say when the next one is asked.
    let mut services = line
        .split_whitespace()
        .filter(|word| !word.starts_with('[') && !word.ends_with(']') && !word.contains('='));
    match (services.next(), services.next(), services.next()) {
        (Some("files"), None, None) => Sources::Files,
        (Some("files"), Some("systemd"), None) => Sources::FilesAndSystemd,
        _ => Sources::Others,
    }
}

/// The user's own group, and those that a group file names it in.
fn in_file(text: &str, user: &User) -> Vec<u32> {
    let mut groups = vec![user.gid];
    for line in text.lines() {
        let mut fields = line.split(':').skip(2);
        let (Some(Ok(number)), Some(members)) =
            (fields.next().map(str::parse::<u32>), fields.next())
        else {
            continue;
        };
        if members.split(',').any(|member| member == user.name) && !groups.contains(&number) {
            groups.push(number);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_of_groups() {
        for (configuration, known) in [
            ("group: files\n", Sources::Files),
            (
                "# all\npasswd: ldap\ngroup:\t\tfiles systemd # both\n",
                Sources::FilesAndSystemd,
            ),
            (
                "group: files [SUCCESS=merge] systemd\n",
                Sources::FilesAndSystemd,
            ),
            (
                "group: files [ SUCCESS=merge NOTFOUND=continue ] systemd\n",
                Sources::FilesAndSystemd,
            ),
            ("group: files\ninitgroups: files sss\n", Sources::Others),
            ("group: sss files\n", Sources::Others),
            ("group: files ldap systemd\n", Sources::Others),
            ("group: compat\n", Sources::Others),
            ("group: db files\n", Sources::Others),
            ("passwd: files\n", Sources::Others),
            ("groups: files\n", Sources::Others),
            ("", Sources::Others),
        ] {
            assert_eq!(sources(configuration), known, "{configuration}");
        }
    }

    #[test]
    fn groups_of_a_file() {
        let user = User {
            name: "postgres".into(),
            uid: 101,
            gid: 104,
            home: "/".into(),
        };
        let text = "root:x:0:\nssl-cert:x:103:postgres\npostgres:x:104:\nbackup:x:34:ada,postgres,bob\n\
                    other:x:7:postgresql\nbroken:x:many:postgres\nshort\nssl:x:103:postgres\n";
        assert_eq!(in_file(text, &user), [104, 103, 34]);
    }

    /// Whichever way they were found.
    #[test]
    fn as_id_says() {
        let user = super::super::own().unwrap();
        let output = Command::new("id")
            .arg("-G")
            .arg(&user.name)
            .output()
            .unwrap();
        let mut said: Vec<u32> = String::from_utf8(output.stdout)
            .unwrap()
            .split_whitespace()
            .map(|group| group.parse().unwrap())
            .collect();
        let mut found = of(&user).unwrap();
        found.sort_unstable();
        said.sort_unstable();
        assert_eq!(found, said);
    }
}
