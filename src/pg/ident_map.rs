//! `pg_ident.conf` (PostgreSQL docs, 21.2): which operating system user may be which role.

use crate::pg::auth_file::{self, File, Token, single, written};
use crate::pg::conf::Include;

/// A file of user name maps: `parse` then `render` gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentMap {
    file: File<Mapping>,
}

/// A line of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub map: String,
    /// With a slash in front a regular expression.
    pub system_user: String,
    /// A role, bare; where it would be taken for a keyword, in double quotes (see [`name`](crate::pg::hba::name)).
    pub role: String,
}

impl IdentMap {
    /// Reads a file. Lines that PostgreSQL would refuse are kept, see [`errors`](Self::errors).
    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            file: File::parse(bytes, Mapping::parse),
        }
    }

    pub fn render(&self) -> Vec<u8> {
        self.file.render()
    }

    pub fn mappings(&self) -> Vec<Mapping> {
        self.file.records().cloned().collect()
    }

    /// Number and reason of the lines that PostgreSQL would refuse.
    pub fn errors(&self) -> Vec<(usize, String)> {
        self.file.errors()
    }

    /// The include directives (PostgreSQL 16) with their line numbers.
    pub fn includes(&self) -> Vec<(usize, Include)> {
        self.file.includes()
    }

    pub fn contains(&self, mapping: &Mapping) -> bool {
        self.file.records().any(|own| own == mapping)
    }

    /// Appends a mapping unless it is there; says whether the file changed. A name with a line break cannot
    /// be written, and is not.
    pub fn add(&mut self, mapping: &Mapping) -> bool {
        let writable = mapping
            .fields()
            .iter()
            .all(|field| auth_file::is_writable(field));
        if !writable || self.contains(mapping) {
            return false;
        }
        self.file
            .insert(usize::MAX, mapping.render_line(), mapping.clone());
        true
    }

    /// Removes a mapping, and says whether it was there.
    pub fn remove(&mut self, mapping: &Mapping) -> bool {
        self.file.remove_if(|own| own == mapping)
    }
}

impl Mapping {
    fn parse(fields: &[Vec<Token>]) -> Result<Self, String> {
        Ok(Self {
            map: single(fields.first(), "map")?.normal(),
            system_user: single(fields.get(1), "system user")?.normal(),
            role: single(fields.get(2), "role")?.normal(),
        })
    }

    /// The mapping as a line without its end, in the columns of the file `initdb` writes.
    pub fn render_line(&self) -> String {
        let [map, system_user, role] = self.fields().map(written);
        format!("{map:<15} {system_user:<23} {role}")
    }

    fn fields(&self) -> [&str; 3] {
        [&self.map, &self.system_user, &self.role]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapping(map: &str, system_user: &str, role: &str) -> Mapping {
        Mapping {
            map: map.into(),
            system_user: system_user.into(),
            role: role.into(),
        }
    }

    #[test]
    fn sample() {
        let sample = include_bytes!("../../tests/fixtures/pg/pg_ident.conf");
        let mut file = IdentMap::parse(sample);
        assert_eq!((file.mappings(), file.errors()), (vec![], vec![]));
        assert!(file.add(&mapping("socle", "post gres", "postgres")));
        assert!(!file.add(&mapping("socle", "post gres", "postgres")));
        let mut expected = sample.to_vec();
        expected.extend(b"socle           \"post gres\"             postgres\n");
        assert_eq!(file.render(), expected);
        assert!(file.remove(&mapping("socle", "post gres", "postgres")));
        assert_eq!(file.render(), sample);
    }

    #[test]
    fn lines() {
        let file = IdentMap::parse(
            b"m \"/^(.*)@x, y$\" \\1 # c\nm a\nm \\\n  a \\\n  \"all\"\nm,n a b\ninclude_dir maps\nm a all\n",
        );
        assert_eq!(
            file.mappings(),
            [
                mapping("m", "/^(.*)@x, y$", "\\1"),
                mapping("m", "a", "\"all\""),
                mapping("m", "a", "all"),
            ]
        );
        assert_eq!(
            file.errors(),
            [
                (2, "no role".to_owned()),
                (6, "more than one map".to_owned())
            ]
        );
        assert_eq!(file.includes(), [(7, Include::Dir("maps".into()))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_file(bytes: Vec<u8>, map in "[^\n\r\0]*", system_user in "[a+@\" #,\\\\]*", role in "[a+@\" #,\\\\]*") {
            let mut file = IdentMap::parse(&bytes);
            prop_assert_eq!(file.render(), bytes);
            let mapping = mapping(&auth_file::literal(&map), &auth_file::literal(&system_user), &auth_file::literal(&role));
            file.add(&mapping);
            prop_assert!(!file.add(&mapping));
            prop_assert!(IdentMap::parse(&file.render()).contains(&mapping));
            prop_assert!(file.remove(&mapping));
        }
    }
}
