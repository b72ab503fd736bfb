//! `pg_ident.conf` (PostgreSQL docs, 21.2): which operating system user may be which role.

use anyhow::Result;

use crate::bail_fault;
use crate::pg::auth_file::expand::WITH_INCLUDES;
use crate::pg::auth_file::{AuthFile, Entry, Token, is_writable, single, word, written};
use crate::pg::hba::explain::Known;

/// A file of user name maps.
pub type IdentMap = AuthFile<Mapping>;

/// A line of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub map: String,
    /// With a slash in front a regular expression.
    pub system_user: String,
    /// A role, bare; where it would be taken for a keyword, in double quotes (see [`name`](crate::pg::hba::name)).
    pub role: String,
}

impl Entry for Mapping {
    const FILE: &'static str = "pg_ident.conf";
    const HEADING: &'static str = "# MAPNAME";

    fn parse(fields: &[Vec<Token>]) -> Result<Self, String> {
        Ok(Self {
            map: single(fields.first(), "map")?.normal(),
            system_user: single(fields.get(1), "system user")?.normal(),
            role: single(fields.get(2), "role")?.normal(),
        })
    }

    /// # Errors
    /// An empty field, or one with a line break.
    fn check(&self) -> Result<()> {
        if self.fields().iter().any(|field| field.is_empty()) {
            bail_fault!(
                Input,
                "a mapping of `pg_ident.conf` needs a map, a system user and a role"
            );
        }
        if !self.fields().iter().all(|field| is_writable(field)) {
            bail_fault!(
                Input,
                "a name with a line break cannot be written to `pg_ident.conf`"
            );
        }
        Ok(())
    }

    fn render_line(&self) -> String {
        let [map, system_user, role] = self.fields().map(written);
        format!("{map:<15} {system_user:<23} {role}")
    }

    /// Keywords are for the role alone: `all` in the place of a map or system user is a name.
    fn same(&self, other: &Self) -> bool {
        bare(&self.map) == bare(&other.map)
            && bare(&self.system_user) == bare(&other.system_user)
            && self.role == other.role
    }
}

impl Mapping {
    /// Of words as they stand in the file: a role in double quotes is meant literally.
    pub fn new(map: &str, system_user: &str, role: &str) -> Self {
        Self {
            map: word(map),
            system_user: word(system_user),
            role: word(role),
        }
    }

    /// Whether it lets a user of the system be a role (`check_ident_usermap` in hba.c); none where only the server knows.
    pub fn admits(&self, system_user: &str, role: &str, known: &Known) -> Option<bool> {
        if self.pattern().is_some() {
            return None;
        }
        if bare(&self.system_user) != system_user {
            return Some(false);
        }
        if known.major < WITH_INCLUDES {
            return Some(bare(&self.role) == role);
        }
        known.is_role(&self.role, role)
    }

    /// Whether it belongs to a map.
    pub fn is_of(&self, map: &str) -> bool {
        bare(&self.map) == map
    }

    /// The regular expression that the system user is; quotes do not keep it from being one (`regcomp_auth_token` in hba.c).
    pub fn pattern(&self) -> Option<String> {
        bare(&self.system_user).strip_prefix('/').map(str::to_owned)
    }

    fn fields(&self) -> [&str; 3] {
        [&self.map, &self.system_user, &self.role]
    }
}

/// A word without the quotes by which it is meant literally.
fn bare(word: &str) -> String {
    let quoted = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'));
    quoted.map_or_else(|| word.to_owned(), |inner| inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::auth_file::{self, Position};
    use crate::pg::conf::Include;
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
        assert_eq!((file.records(), file.errors()), (vec![], vec![]));
        assert!(
            file.place(
                &mapping("socle", "post gres", "postgres"),
                &Position::Anywhere
            )
            .unwrap()
        );
        assert!(
            !file
                .place(
                    &mapping("socle", "post gres", "postgres"),
                    &Position::Anywhere
                )
                .unwrap()
        );
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
            file.records(),
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

    #[test]
    fn a_continuation_at_the_end_swallows_nothing() {
        for end in ["\\", "\\\n", "\\\r\n", "\\\r", "\\\\\n"] {
            let mut file = IdentMap::parse(format!("# c\nm a b {end}").as_bytes());
            let added = mapping("m", "c", "d");
            assert!(file.place(&added, &Position::Anywhere).unwrap());
            let records = IdentMap::parse(&file.render()).records();
            assert_eq!(records, [mapping("m", "a", "b"), added], "{end:?}");
        }
    }

    #[test]
    fn who_may_be_whom() {
        let known = |major| Known {
            major,
            groups: Some(["postgres", "dba"].map(ToOwned::to_owned).into()),
            ..Known::default()
        };
        for (role, old, new) in [
            ("postgres", Some(true), Some(true)),
            ("\"postgres\"", Some(true), Some(true)),
            ("bob", Some(false), Some(false)),
            ("all", Some(false), Some(true)),
            ("\"all\"", Some(false), Some(false)),
            ("+dba", Some(false), Some(true)),
            ("/^post", Some(false), None),
        ] {
            let own = mapping("m", "ada", role);
            assert!(own.is_of("m") && !own.is_of("n"));
            assert_eq!(own.admits("ada", "postgres", &known(15)), old, "{role}");
            assert_eq!(own.admits("ada", "postgres", &known(16)), new, "{role}");
            assert_eq!(own.admits("eve", "postgres", &known(16)), Some(false));
        }
        let expression = mapping("m", "/^a", "postgres");
        assert_eq!(expression.admits("ada", "postgres", &known(16)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_file(bytes: Vec<u8>, map in "[^\n\r\0]+", system_user in "[a+@\" #,\\\\]+", role in "[a+@\" #,\\\\]+") {
            let mut file = IdentMap::parse(&bytes);
            prop_assert_eq!(file.render(), bytes);
            let mapping = mapping(&auth_file::literal(&map), &auth_file::literal(&system_user), &auth_file::literal(&role));
            file.place(&mapping, &Position::Anywhere).unwrap();
            prop_assert!(!file.place(&mapping, &Position::Anywhere).unwrap());
            prop_assert!(IdentMap::parse(&file.render()).contains(&mapping));
            prop_assert!(file.remove(&mapping));
        }
    }
}
