//! `conf.d/STANZA.conf`: which clusters a stanza is of, one group of `pgN-…` options each.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// A cluster of this host in a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub datadir: Utf8PathBuf,
    pub port: u16,
    pub user: String,
    pub socket_directory: Utf8PathBuf,
}

impl Member {
    fn options(&self) -> [(&'static str, String); 4] {
        [
            ("path", self.datadir.to_string()),
            ("port", self.port.to_string()),
            ("user", self.user.clone()),
            ("socket-path", self.socket_directory.to_string()),
        ]
    }
}

/// The lines of the file: those that are not ours stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StanzaFile(Vec<String>);

/// `pg12-path=/x` is of group 12.
fn option(line: &str) -> Option<(u16, &str, &str)> {
    let (key, value) = line.split_once('=')?;
    let (number, name) = key.trim().strip_prefix("pg")?.split_once('-')?;
    Some((number.parse().ok()?, name, value.trim()))
}

impl StanzaFile {
    pub fn parse(content: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(content).context("a configuration file is not UTF-8")?;
        let lines = text.split_terminator('\n');
        Ok(Self(lines.map(str::to_owned).collect()))
    }

    pub fn render(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    /// The number of a cluster's group.
    pub fn number(&self, datadir: &Utf8Path) -> Option<u16> {
        self.0.iter().find_map(|line| match option(line)? {
            (number, "path", path) if path == datadir => Some(number),
            _ => None,
        })
    }

    /// Whether a cluster is left in it.
    pub fn has_members(&self) -> bool {
        self.0.iter().any(|line| option(line).is_some())
    }

    /// … besides this one.
    pub fn has_others(&self, datadir: &Utf8Path) -> bool {
        let own = self.number(datadir);
        let others = |line: &String| option(line).is_some_and(|(number, ..)| Some(number) != own);
        self.0.iter().any(others)
    }

    /// Puts a cluster in, under its number or the lowest free one. Options of its group that we do not write stay.
    pub fn put(&mut self, stanza: &str, member: &Member) {
        let number = self.number(&member.datadir).unwrap_or_else(|| {
            let taken: Vec<u16> = self
                .0
                .iter()
                .filter_map(|line| option(line).map(|(number, ..)| number))
                .collect();
            (1..=u16::MAX)
                .find(|number| !taken.contains(number))
                .unwrap_or(1)
        });
        let header = format!("[{stanza}]");
        if self.0.iter().all(|line| line.trim() != header) {
            self.0.push(header.clone());
        }
        for (name, value) in member.options() {
            let line = format!("pg{number}-{name}={value}");
            let known = self.0.iter_mut().find(
                |line| matches!(option(line), Some((found, own, _)) if found == number && own == name),
            );
            if let Some(known) = known {
                *known = line;
                continue;
            }
            // Behind the rest of its group, else behind the other groups, else behind the header.
            let last = |wanted: &dyn Fn(u16) -> bool| {
                let is = |line: &String| option(line).is_some_and(|(number, ..)| wanted(number));
                self.0.iter().rposition(is)
            };
            let place = last(&|found| found == number)
                .or_else(|| last(&|_| true))
                .or_else(|| self.0.iter().position(|line| line.trim() == header));
            self.0
                .insert(place.map_or(self.0.len(), |place| place + 1), line);
        }
    }

    /// Takes a cluster out.
    pub fn remove(&mut self, datadir: &Utf8Path) {
        if let Some(number) = self.number(datadir) {
            self.0
                .retain(|line| !matches!(option(line), Some((found, ..)) if found == number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(name: &str, port: u16) -> Member {
        Member {
            datadir: format!("/srv/{name}").into(),
            port,
            user: "backup".into(),
            socket_directory: "/run/pg".into(),
        }
    }

    #[test]
    fn clusters_come_and_go() {
        let mut file = StanzaFile::default();
        file.put("app", &member("a", 5432));
        file.put("app", &member("b", 5433));
        file.put("app", &member("a", 5434));
        assert_eq!(
            file.render(),
            "[app]\npg1-path=/srv/a\npg1-port=5434\npg1-user=backup\npg1-socket-path=/run/pg\n\
             pg2-path=/srv/b\npg2-port=5433\npg2-user=backup\npg2-socket-path=/run/pg\n"
        );
        file.remove("/srv/a".into());
        assert_eq!(file.number("/srv/b".into()), Some(2));
        assert!(file.has_members());
        file.put("app", &member("c", 5435));
        assert_eq!(file.number("/srv/c".into()), Some(1));
        file.remove("/srv/b".into());
        file.remove("/srv/c".into());
        assert!(!file.has_members());
        assert_eq!(file.render(), "[app]\n");
    }

    #[test]
    fn what_others_wrote_stays() {
        let text = "# by hand\n[app]\nprocess-max=4\npg1-path = /srv/a\npg1-host=elsewhere\n";
        let mut file = StanzaFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.number("/srv/a".into()), Some(1));
        file.put("app", &member("a", 5432));
        assert_eq!(
            file.render(),
            "# by hand\n[app]\nprocess-max=4\npg1-path=/srv/a\npg1-host=elsewhere\npg1-port=5432\n\
             pg1-user=backup\npg1-socket-path=/run/pg\n"
        );
    }

    proptest! {
        #[test]
        fn no_input_panics_and_putting_twice_is_putting_once(text in ".*", port: u16) {
            let mut once = StanzaFile::parse(text.as_bytes()).unwrap();
            once.put("app", &member("a", port));
            let mut twice = once.clone();
            twice.put("app", &member("a", port));
            prop_assert_eq!(&once, &twice);
            prop_assert_eq!(StanzaFile::parse(once.render().as_bytes()).unwrap(), once);
        }
    }
}
