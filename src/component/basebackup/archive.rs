//! The commands by which a server puts WAL into the archive, and fetches it (PostgreSQL documentation, 26.3.1 and 26.3.5).

use camino::Utf8Path;

/// A word of a shell, in which `%` is not the server's.
fn word(path: &Utf8Path) -> String {
    let quoted = path.as_str().replace('\'', r"'\''");
    format!("'{}'", quoted.replace('%', "%%"))
}

/// `archive_command`. A file that is there already must be the same one: the server was cut short before it could note that it
/// was archived. Another one means that two servers archive to one place, and is never overwritten. What is new gets its name
/// only when it is on the disk, and is there for good only when its directory is on the disk too.
pub fn push(directory: &Utf8Path) -> String {
    let directory = word(directory);
    format!(
        "d={directory}; if [ -e \"$d/%f\" ]; then cmp \"%p\" \"$d/%f\" && sync \"$d/%f\" \"$d\"; \
         else cp \"%p\" \"$d/.%f\" && sync \"$d/.%f\" && mv \"$d/.%f\" \"$d/%f\" && sync \"$d\"; fi"
    )
}

/// `restore_command`.
pub fn fetch(directory: &Utf8Path) -> String {
    let directory = word(directory);
    format!("d={directory}; [ -f \"$d/%f\" ] && cp \"$d/%f\" \"%p\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        assert_eq!(
            push("/b/app/wal/1".into()),
            "d='/b/app/wal/1'; if [ -e \"$d/%f\" ]; then cmp \"%p\" \"$d/%f\" && sync \"$d/%f\" \"$d\"; \
             else cp \"%p\" \"$d/.%f\" && sync \"$d/.%f\" && mv \"$d/.%f\" \"$d/%f\" && sync \"$d\"; fi"
        );
        assert_eq!(
            fetch("/it's 100%".into()),
            r#"d='/it'\''s 100%%'; [ -f "$d/%f" ] && cp "$d/%f" "%p""#
        );
    }
}
