//! What the errors of PostgreSQL's programs mean for a backup.

use crate::backup::Trouble;

/// What `pg_verifybackup` and `pg_combinebackup` say of a file that is not as it was written, or is gone
/// (`pg_verifybackup.c`, `parse_manifest.c`, `reconstruct.c`).
const DAMAGED: [&str; 10] = [
    "checksum mismatch for file",
    " on disk but size ",
    "in the manifest but not on disk",
    "on disk but not in the manifest",
    "manifest checksum mismatch",
    "could not parse backup manifest",
    "WAL parsing failed",
    "pg_verifybackup: error: could not open",
    "pg_combinebackup: error: could not open",
    "has bad incremental magic number",
];

/// What the words mean; none: nothing of that kind.
pub fn of(said: &str) -> Option<Trouble> {
    let damaged = DAMAGED.iter().any(|words| said.contains(words));
    damaged.then_some(Trouble::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 17 says it.
    #[test]
    fn words() {
        for (said, damaged) in [
            (
                "pg_verifybackup: error: checksum mismatch for file \"base/5/1259\"",
                true,
            ),
            (
                "pg_verifybackup: error: \"base/5/1247\" has size 122882 on disk but size 122880 in the manifest",
                true,
            ),
            (
                "pg_verifybackup: error: \"base/5/1249\" is present in the manifest but not on disk",
                true,
            ),
            (
                "pg_verifybackup: error: could not open file \"/b/data/backup_manifest\": No such file or directory",
                true,
            ),
            (
                "pg_combinebackup: error: could not write to file \"/d/base/5/1259\": No space left on device",
                false,
            ),
            ("cp: cannot stat '/b/wal/1/00000002.history'", false),
            ("program `/bin/pg_verifybackup` is not installed", false),
        ] {
            let wanted = damaged.then_some(Trouble::Damaged);
            assert_eq!(of(said), wanted, "{said}");
        }
    }
}
