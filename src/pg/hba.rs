//! `pg_hba.conf` (PostgreSQL docs, 21.1), line by line and without loss.

mod record;

pub use record::{ConnectionType, Record};

use crate::pg::auth_file::{self, File, Item};
use crate::pg::conf::Include;
use crate::pg::text::decode;
use crate::secret::MASK;

/// A host-based authentication file: `parse` then `render` gives the same bytes. The first record that
/// fits a connection decides, so order matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hba {
    file: File<Record>,
}

/// Where a new record goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    /// Before all others, and before the comment right above the first one.
    First,
    /// To the end of the file.
    #[default]
    Last,
    /// Before that record, or first if it is not there.
    Before(Record),
    /// After that record, or last if it is not there.
    After(Record),
}

impl Hba {
    /// Reads a file. Lines that PostgreSQL would refuse are kept, see [`errors`](Self::errors).
    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            file: File::parse(bytes, Record::parse),
        }
    }

    pub fn render(&self) -> Vec<u8> {
        self.file.render()
    }

    /// The file as it may be shown: passwords and shared secrets of LDAP and RADIUS are masked.
    pub fn masked(&self) -> String {
        let text = decode(&self.render());
        text.split_inclusive('\n').map(masked).collect()
    }

    pub fn records(&self) -> Vec<Record> {
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

    /// Whether a record means the same, see [`Record::same`].
    pub fn contains(&self, record: &Record) -> bool {
        self.file.records().any(|own| own.same(record))
    }

    /// Adds a record unless it is there already, wherever that is; says whether the file changed. What
    /// cannot be written (see [`Record::check`]) is not.
    pub fn add(&mut self, record: &Record, position: &Position) -> bool {
        if self.contains(record) || record.check().is_err() {
            return false;
        }
        let at = match position {
            Position::First => self.first(),
            Position::Last => self.file.lines.len(),
            Position::Before(anchor) => self.find(anchor).unwrap_or_else(|| self.first()),
            Position::After(anchor) => self
                .find(anchor)
                .map_or(self.file.lines.len(), |index| index + 1),
        };
        self.file.insert(at, record.render_line(), record.clone());
        true
    }

    /// Removes the records that mean the same, and says whether there was one.
    pub fn remove(&mut self, record: &Record) -> bool {
        self.file.remove_if(|own| own.same(record))
    }

    /// Removes the records that are for this role alone, and says whether there was one.
    pub fn remove_user(&mut self, role: &str) -> bool {
        let user = name(role);
        self.file
            .remove_if(|own| own.users.as_slice() == std::slice::from_ref(&user))
    }

    fn find(&self, anchor: &Record) -> Option<usize> {
        self.file
            .lines
            .iter()
            .position(|line| line.record().is_some_and(|own| own.same(anchor)))
    }

    /// Before the first record or include directive and its comment, but below the heading of the columns.
    fn first(&self) -> usize {
        let lines = &self.file.lines;
        let Some(first) = lines
            .iter()
            .position(|line| matches!(line.item, Item::Record(_) | Item::Include(_)))
        else {
            return lines.len();
        };
        let heading = |raw: &[u8]| raw.starts_with(b"# TYPE");
        let comment = lines[..first]
            .iter()
            .rev()
            .take_while(|line| line.is_comment() && !heading(&line.raw))
            .count();
        first - comment
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
    .map(|name| {
        let name = name.trim();
        match name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'))
        {
            Some(inner) => auth_file::literal(&inner.replace("\"\"", "\"")),
            None => name.to_owned(),
        }
    })
    .collect()
}

fn masked(line: &str) -> String {
    let secret = ["ldapbindpasswd", "radiussecrets"]
        .iter()
        .filter_map(|option| line.find(option).map(|at| at + option.len()))
        .min();
    match secret.and_then(|at| line.split_at_checked(at)) {
        // Quotes and continuation lines make the end of the value hard to tell: nothing behind it is shown.
        Some((before, behind)) => {
            let end = if behind.ends_with('\n') { "\n" } else { "" };
            format!("{before}={MASK}{end}")
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
