//! `postmaster.opts`: the command line with which a server was last started (`CreateOptsFile` in postmaster.c).

use camino::Utf8PathBuf;

/// Where the command line says that the files are; `None` for what it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostmasterOpts {
    /// `-D`: the data directory, or the directory of a postgresql.conf that names it.
    pub directory: Option<Utf8PathBuf>,
    pub config_file: Option<Utf8PathBuf>,
    pub hba_file: Option<Utf8PathBuf>,
    pub ident_file: Option<Utf8PathBuf>,
}

impl PostmasterOpts {
    pub fn parse(content: &[u8]) -> Self {
        let content = String::from_utf8_lossy(content);
        let line = content.lines().next().unwrap_or_default();
        let mut opts = Self::default();
        // The program, and then each word in double quotes, with nothing escaped.
        let Some((_, words)) = line.split_once(" \"") else {
            return opts;
        };
        let mut words = words.trim_end_matches('"').split("\" \"");
        while let Some(word) = words.next() {
            if let Some(rest) = word.strip_prefix("--") {
                opts.set(rest);
            } else if let Some(rest) = word.strip_prefix("-c") {
                opts.set(if rest.is_empty() {
                    words.next().unwrap_or_default()
                } else {
                    rest
                });
            } else if let Some(rest) = word.strip_prefix("-D") {
                let directory = if rest.is_empty() {
                    words.next().unwrap_or_default()
                } else {
                    rest
                };
                opts.directory = Some(directory.into());
            }
        }
        opts
    }

    fn set(&mut self, setting: &str) {
        let Some((name, value)) = setting.split_once('=') else {
            return;
        };
        let place = match name.replace('-', "_").to_ascii_lowercase().as_str() {
            "config_file" => &mut self.config_file,
            "hba_file" => &mut self.hba_file,
            "ident_file" => &mut self.ident_file,
            _ => return,
        };
        *place = Some(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn where_the_files_are() {
        let opts = |directory: &str, config_file: Option<&str>| PostmasterOpts {
            directory: Some(directory.into()),
            config_file: config_file.map(Into::into),
            ..PostmasterOpts::default()
        };
        for (line, expected) in [
            (
                "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/var/lib/postgresql/15/main\" \"-c\" \"config_file=/etc/postgresql/15/main/postgresql.conf\"\n",
                opts(
                    "/var/lib/postgresql/15/main",
                    Some("/etc/postgresql/15/main/postgresql.conf"),
                ),
            ),
            (
                "/usr/pgsql-15/bin/postmaster \"-D\" \"/var/lib/pgsql/15/data/\"\n",
                opts("/var/lib/pgsql/15/data/", None),
            ),
            (
                "/b/postgres \"-D/srv/my data\" \"--config-file=/c d/p.conf\" \"-cwork_mem=1MB\"\n",
                opts("/srv/my data", Some("/c d/p.conf")),
            ),
            ("/b/postgres\n", PostmasterOpts::default()),
            ("", PostmasterOpts::default()),
        ] {
            assert_eq!(PostmasterOpts::parse(line.as_bytes()), expected, "{line}");
        }
        let all = "/b/postgres \"-c\" \"hba_file=/h\" \"-c\" \"ident_file=/i\"\n";
        let all = PostmasterOpts::parse(all.as_bytes());
        assert_eq!(
            (all.hba_file, all.ident_file),
            (Some("/h".into()), Some("/i".into()))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "p( \"(-D|-c|--|[a-z=])*\"){0,5}") {
            PostmasterOpts::parse(&bytes);
            PostmasterOpts::parse(text.as_bytes());
        }
    }
}
