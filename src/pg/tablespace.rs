//! Where tablespaces leave traces in directories (PostgreSQL documentation, 73.1 "Database File Layout").

use std::fmt::Display;

use camino::{Utf8Path, Utf8PathBuf};

use super::version::Major;

/// The directory of links to the tablespaces of a cluster, each called by its number.
pub fn links(datadir: &Utf8Path) -> Utf8PathBuf {
    datadir.join("pg_tblspc")
}

/// The link to one.
pub fn link(datadir: &Utf8Path, oid: impl Display) -> Utf8PathBuf {
    links(datadir).join(oid.to_string())
}

/// Whether a name in a tablespace is that of the directory of a cluster of this major: its catalog version follows
/// (`PG_15_202209061`, relpath.h).
pub fn is_of(major: Major, name: &str) -> bool {
    name.starts_with(&format!("PG_{major}_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_directory_it_is() {
        for (name, own) in [
            ("PG_15_202209061", true),
            ("PG_1_202209061", false),
            ("PG_150_202209061", false),
            ("PG_VERSION", false),
        ] {
            assert_eq!(is_of(Major::new(15), name), own, "{name}");
        }
        assert_eq!(link("/data".into(), 16384), "/data/pg_tblspc/16384");
    }
}
