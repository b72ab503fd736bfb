//! What the SELinux policy for PostgreSQL (module `postgresql`, `postgresql_selinux(8)`) lets a server do, and what to do where
//! it does not. It confines servers that a system unit starts; whoever logs in, and what runs for him, is not confined.

use camino::{Utf8Path, Utf8PathBuf};

/// Says `1` where SELinux is there and enforced (selinux(8)).
pub const ENFORCE: &str = "/sys/fs/selinux/enforce";

pub fn is_enforced(enforce: Option<&[u8]>) -> bool {
    enforce.is_some_and(|value| value.first() == Some(&b'1'))
}

/// The type in a context: `user:role:type:level`.
pub fn type_of(context: &str) -> Option<&str> {
    context.trim().split(':').nth(2)
}

/// Whether a system unit's server of this type of executable runs in the domain of the policy.
pub fn confines(executable: &str) -> bool {
    executable == "postgresql_exec_t"
}

/// Whether a server in that domain may work in a directory of this type.
pub fn admits(directory: &str) -> bool {
    directory.starts_with("postgresql_")
}

/// Gives a directory, and what will be made in it, the type of data.
pub fn relabel(directory: &Utf8Path) -> String {
    format!(
        "as root, `semanage fcontext -a -t postgresql_db_t '{directory}(/.*)?'`, then `restorecon -R {directory}`"
    )
}

/// The remedy for what a server, or the manager that could not start it, was denied; none where its words tell of nothing.
pub fn remedy(words: &str, datadir: &Utf8Path, port: u16) -> Option<String> {
    // EACCES (strerror(3)): SELinux has no error of its own.
    let mut denied = words
        .lines()
        .filter(|line| line.contains("Permission denied"));
    let first = denied.next()?;
    if first.contains("could not bind IP") {
        return Some(format!(
            "SELinux, which is enforced on this host, allows a server port {port} once it is told, as root: \
             `semanage port -a -t postgresql_port_t -p tcp {port}`"
        ));
    }
    let path = first.split('"').nth(1).map(Utf8Path::new);
    if let Some(socket) = path.filter(|path| is_socket(path)) {
        let directory = socket.parent().unwrap_or(socket);
        return Some(format!(
            "SELinux, which is enforced on this host, denies a server sockets in `{directory}`: they belong in `/run/postgresql` \
             (`postgresql.socket_directory` in the site settings, or `unix_socket_directories` of the instance)"
        ));
    }
    let place: Utf8PathBuf = match path.filter(|path| path.is_absolute()) {
        // Of a file, its directory is what new ones get their type from.
        Some(path) if !path.starts_with(datadir) => path.parent().unwrap_or(path).into(),
        _ => datadir.into(),
    };
    Some(format!(
        "where owner and mode allow it, SELinux, which is enforced on this host, denies a server what is in `{place}`: {}",
        relabel(&place)
    ))
}

fn is_socket(path: &Utf8Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.starts_with(".s.PGSQL."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_is_enforced() {
        for (enforce, expected) in [
            (Some("1"), true),
            (Some("0"), false),
            (Some(""), false),
            (None, false),
        ] {
            let enforce = enforce.map(str::as_bytes);
            assert_eq!(is_enforced(enforce), expected, "{enforce:?}");
        }
    }

    #[test]
    fn the_type_of_a_context() {
        for (context, expected) in [
            (
                "system_u:object_r:postgresql_db_t:s0\n",
                Some("postgresql_db_t"),
            ),
            ("u:r:tmp_t:s0-s0:c0.c1023", Some("tmp_t")),
            ("?", None),
        ] {
            assert_eq!(type_of(context), expected, "{context}");
        }
    }

    /// What servers said under the policy of Debian 12, and what helped.
    #[test]
    fn what_helps_where_something_is_denied() {
        let said = |words: &str| remedy(words, "/data/15/shop".into(), 5433).unwrap_or_default();
        let text = [
            "LOG:  could not bind IPv6 address \"::1\": Permission denied\nFATAL:  could not create any TCP/IP sockets",
            "FATAL:  could not open lock file \"/tmp/pgsocle/postgresql/.s.PGSQL.5433.lock\": Permission denied",
            "Starting…\npostgres: could not access directory \"/data/15/shop\": Permission denied",
            "FATAL:  could not create lock file \"postmaster.pid\": Permission denied",
            "FATAL:  could not open log file \"/logs/15-shop.log\": Permission denied",
            "FATAL:  configuration file \"/data/15/shop/postgresql.conf\" contains errors",
        ]
        .map(said)
        .join("\n");
        insta::assert_snapshot!(text, @r"
        SELinux, which is enforced on this host, allows a server port 5433 once it is told, as root: `semanage port -a -t postgresql_port_t -p tcp 5433`
        SELinux, which is enforced on this host, denies a server sockets in `/tmp/pgsocle/postgresql`: they belong in `/run/postgresql` (`postgresql.socket_directory` in the site settings, or `unix_socket_directories` of the instance)
        where owner and mode allow it, SELinux, which is enforced on this host, denies a server what is in `/data/15/shop`: as root, `semanage fcontext -a -t postgresql_db_t '/data/15/shop(/.*)?'`, then `restorecon -R /data/15/shop`
        where owner and mode allow it, SELinux, which is enforced on this host, denies a server what is in `/data/15/shop`: as root, `semanage fcontext -a -t postgresql_db_t '/data/15/shop(/.*)?'`, then `restorecon -R /data/15/shop`
        where owner and mode allow it, SELinux, which is enforced on this host, denies a server what is in `/logs`: as root, `semanage fcontext -a -t postgresql_db_t '/logs(/.*)?'`, then `restorecon -R /logs`
        ");
    }
}
