//! `postmaster.pid`, the lock file of a data directory (`src/include/utils/pidfile.h`).
//!
//! The server writes it line by line while it starts: any tail of it may be missing.

/// What the lock file says; `None` for what it does not (yet) say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostmasterPid {
    /// Process id of the postmaster; negative when a stand-alone backend (`postgres --single`) holds the
    /// directory.
    pub pid: Option<i32>,
    pub datadir: Option<String>,
    /// Start time, in seconds since 1970-01-01 UTC.
    pub start_time: Option<i64>,
    pub port: Option<u16>,
    /// The first of `unix_socket_directories`; none when the server has no such socket.
    pub socket_directory: Option<String>,
    /// The first of `listen_addresses`; none when the server does not listen on TCP/IP.
    pub listen_address: Option<String>,
    /// Key and id of the System V shared memory segment.
    pub shared_memory: Option<String>,
    /// `starting`, `stopping`, `ready` or `standby`, without the blanks it is padded with.
    pub status: Option<String>,
}

impl PostmasterPid {
    pub fn parse(content: &[u8]) -> Self {
        let content = String::from_utf8_lossy(content);
        let mut lines = content
            .lines()
            .map(|line| Some(line.trim().to_owned()).filter(|line| !line.is_empty()));
        let mut next = || lines.next().flatten();
        Self {
            pid: next().and_then(|pid| pid.parse().ok()),
            datadir: next(),
            start_time: next().and_then(|time| time.parse().ok()),
            port: next().and_then(|port| port.parse().ok()),
            socket_directory: next(),
            listen_address: next(),
            shared_memory: next(),
            status: next(),
        }
    }

    /// Whether the server said that it accepts connections; on a standby, read-only ones.
    pub fn is_ready(&self) -> bool {
        matches!(self.status.as_deref(), Some("ready" | "standby"))
    }
}

/// Whether a process is a server's, by its name (`/proc/PID/comm`): units of Red Hat and of PGDG start what they call
/// `postmaster`, a link to `postgres` that there was before version 16.
pub fn is_server(name: &[u8]) -> bool {
    matches!(name, b"postgres\n" | b"postmaster\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_names_of_a_server() {
        for (name, expected) in [
            ("postgres\n", true),
            ("postmaster\n", true),
            ("postgres_export\n", false),
            ("pg_ctl\n", false),
            ("", false),
        ] {
            assert_eq!(is_server(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn of_a_running_server() {
        let file = b"19929\n/var/lib/postgresql/15/main\n1795231997\n5999\n/run/postgresql\nlocalhost\n 10010805        35\nready   \n";
        assert_eq!(
            PostmasterPid::parse(file),
            PostmasterPid {
                pid: Some(19929),
                datadir: Some("/var/lib/postgresql/15/main".to_owned()),
                start_time: Some(1_795_231_997),
                port: Some(5999),
                socket_directory: Some("/run/postgresql".to_owned()),
                listen_address: Some("localhost".to_owned()),
                shared_memory: Some("10010805        35".to_owned()),
                status: Some("ready".to_owned()),
            }
        );
    }

    #[test]
    fn half_written() {
        // Written by CreateLockFile; the postmaster adds the rest later.
        let file = b"19929\n/srv/data\n1795231997\n5432\n/tmp\n";
        let lock = PostmasterPid::parse(file);
        assert_eq!(lock.socket_directory.as_deref(), Some("/tmp"));
        assert_eq!((lock.listen_address, lock.status), (None, None));
        assert_eq!(PostmasterPid::parse(b""), PostmasterPid::default());
    }

    #[test]
    fn without_sockets() {
        let file = b"-77\n/srv/data\n1795231997\n5432\n\n\n";
        let lock = PostmasterPid::parse(file);
        assert_eq!(lock.pid, Some(-77));
        assert_eq!(lock.port, Some(5432));
        assert_eq!((lock.socket_directory, lock.listen_address), (None, None));
    }

    #[test]
    fn readiness() {
        for (status, ready) in [
            ("starting", false),
            ("stopping", false),
            ("ready   ", true),
            ("standby ", true),
            ("readying", false),
            ("", false),
        ] {
            let file = format!("1\n/d\n2\n3\n/s\n*\n 4 5\n{status}\n");
            assert_eq!(
                PostmasterPid::parse(file.as_bytes()).is_ready(),
                ready,
                "{status}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn nothing_panics(content in any::<Vec<u8>>()) {
            PostmasterPid::parse(&content).is_ready();
        }
    }
}
