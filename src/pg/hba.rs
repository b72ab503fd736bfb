//! `pg_hba.conf` (PostgreSQL docs, 21.1), line by line and without loss.

pub mod explain;
mod method;
mod record;

pub use method::NEWEST_METHOD;
pub use record::{ConnectionType, Record};

use crate::pg::auth_file::{self, AuthFile};

/// A host-based authentication file.
pub type Hba = AuthFile<Record>;

/// Where a record of it is to be.
pub type Position = auth_file::Position<Record>;

impl Hba {
    /// Removes the records that are for this role alone, and says whether there was one.
    pub fn remove_user(&mut self, role: &str) -> bool {
        let user = name(role);
        self.remove_if(|own| own.users.as_slice() == std::slice::from_ref(&user))
    }
}

/// A database or role of that name as a [`Record`] holds it: quoted where it would mean something else
/// (`all`, `replication`, `+x`, …).
pub fn name(name: &str) -> String {
    auth_file::literal(name)
}

/// The names of a list as it stands in the file: separated by commas, in quotes where they are meant literally.
pub fn names(list: &str) -> Vec<String> {
    let mut in_quotes = false;
    list.split(|c| {
        in_quotes ^= c == '"';
        c == ',' && !in_quotes
    })
    .map(auth_file::word)
    .collect()
}

#[cfg(test)]
mod tests;
