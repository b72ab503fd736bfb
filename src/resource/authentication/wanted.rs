//! What is wanted of one of the files.

use anyhow::Result;

use super::Kind;
use crate::bail_fault;
use crate::manifest::{End, InFile, Presence};
use crate::pg::auth_file::expand::Listed;
use crate::pg::auth_file::{AuthFile, Position, parse_line, shown};
use crate::pg::version::Major;
use crate::resource::instance::configuration::Text;

pub enum Wanted<T> {
    /// One is there, at its place, or is not.
    One(T, Presence, Position<T>),
    /// Some are there, others are not; what is new goes to the place, one behind the other.
    Some(Vec<(T, Presence)>, Position<T>),
    /// These and no others.
    Exactly(Vec<T>),
    /// The file as a whole.
    Content(Text),
}

impl<T: Kind> Wanted<T> {
    pub fn declared(
        file: &InFile<T::Spec>,
        single: Option<&T::Spec>,
        major: Major,
    ) -> Result<Self> {
        let position = match (file.position, &file.before, &file.after) {
            (None, None, None) => Position::Anywhere,
            (Some(End::First), None, None) => Position::First,
            (Some(End::Last), None, None) => Position::Last,
            (None, Some(line), None) => Position::Before(parse_line(line)?),
            (None, None, Some(line)) => Position::After(parse_line(line)?),
            _ => bail_fault!(Input, "`position`, `before` and `after` exclude each other"),
        };
        if let Some(spec) = single {
            let (record, state) = T::declared(spec, major)?;
            return Ok(Self::One(record, state, position));
        }
        let all = file.records.iter().flatten();
        let all = all
            .map(|spec| T::declared(spec, major))
            .collect::<Result<Vec<_>>>()?;
        if !file.purge {
            return Ok(Self::Some(all, position));
        }
        if position != Position::Anywhere {
            bail_fault!(Input, "`purge` makes the whole list exact: nothing of it has a place of its own"; "leave `position`, `before` and `after` out");
        }
        if all.iter().any(|(_, state)| *state == Presence::Absent) {
            bail_fault!(Input, "`state: absent` makes no sense in a list with `purge`"; "leave the record out");
        }
        Ok(Self::Exactly(
            all.into_iter().map(|(record, _)| record).collect(),
        ))
    }

    /// The file as it is to be. What is included from `elsewhere` is there already, unless it is to have a place of its own.
    pub fn applied(&self, content: &[u8], elsewhere: &[Listed<T>]) -> Result<AuthFile<T>> {
        let mut file = AuthFile::parse(content);
        let is_there = |record: &T, position: &Position<T>| {
            *position == Position::Anywhere && find(elsewhere, record).is_some()
        };
        match self {
            Self::Content(text) => return Ok(AuthFile::parse(&text.content)),
            Self::Exactly(records) => _ = file.make_exact(records)?,
            Self::One(record, Presence::Present, position) if is_there(record, position) => {}
            Self::One(record, Presence::Present, position) => _ = file.place(record, position)?,
            Self::One(record, Presence::Absent, _) => _ = file.remove(record),
            Self::Some(records, position) => {
                let mut position = position.clone();
                for (record, state) in records {
                    if *state == Presence::Absent {
                        file.remove(record);
                        continue;
                    }
                    if is_there(record, &position) {
                        continue;
                    }
                    if !file.contains(record) {
                        file.place(record, &position)?;
                    }
                    position = Position::After(record.clone());
                }
            }
        }
        Ok(file)
    }

    /// What is to go, and is included from elsewhere: that is not ours to edit.
    pub fn remains(&self, elsewhere: &[Listed<T>]) -> Vec<String> {
        let records: Vec<&T> = match self {
            Self::One(record, Presence::Absent, _) => vec![record],
            Self::Some(records, _) => {
                let absent = records
                    .iter()
                    .filter(|(_, state)| *state == Presence::Absent);
                absent.map(|(record, _)| record).collect()
            }
            _ => Vec::new(),
        };
        let found = records
            .into_iter()
            .filter_map(|record| find(elsewhere, record));
        found
            .map(|listed| {
                format!(
                    "`{}` stays: {} includes it from line {} of {}, which is not edited",
                    listed.text.split_whitespace().collect::<Vec<_>>().join(" "),
                    T::FILE,
                    listed.line,
                    listed.file
                )
            })
            .collect()
    }

    /// What is done, in a sentence.
    pub fn summary(&self, before: &AuthFile<T>) -> String {
        let file = T::FILE;
        match self {
            Self::One(record, Presence::Absent, _) => {
                format!("remove `{}` from {file}", shown(record))
            }
            Self::One(record, ..) if before.contains(record) => {
                format!("move `{}` in {file}", shown(record))
            }
            Self::One(record, ..) => format!("add `{}` to {file}", shown(record)),
            _ => format!("change {file}"),
        }
    }
}

/// A record among those that come from other files.
fn find<'l, T: Kind>(elsewhere: &'l [Listed<T>], record: &T) -> Option<&'l Listed<T>> {
    let mut all = elsewhere.iter();
    all.find(|listed| listed.record.as_ref().is_ok_and(|own| own.same(record)))
}
