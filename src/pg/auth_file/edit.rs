//! Changes to a file: what they do not concern stays as it is, byte for byte.

use anyhow::Result;

use super::{AuthFile, Entry, Item, Line, Position, end_like};
use crate::bail_fault;

impl<T: Entry> AuthFile<T> {
    /// Puts a record where it is to be, unless it is there; says whether the file changed. One that is elsewhere
    /// moves, and what says the same again goes.
    ///
    /// # Errors
    /// `Input`, when the record cannot be written ([`Entry::check`]); `NotFound`, when the record that the position
    /// names is not there.
    pub fn place(&mut self, record: &T, position: &Position<T>) -> Result<bool> {
        record.check()?;
        if let Position::Before(anchor) | Position::After(anchor) = position {
            if anchor.same(record) {
                bail_fault!(
                    Input,
                    "a record of `{}` cannot be before or after itself",
                    T::FILE
                );
            }
            if !self.contains(anchor) {
                bail_fault!(
                    NotFound,
                    "`{}` has no record `{}`", T::FILE, super::shown(anchor);
                    "name one that is there, as it stands in the file"
                );
            }
        }
        let present = self.find(record);
        if present.is_some_and(|at| self.is_placed(at, position)) {
            return Ok(false);
        }
        let line = match present {
            Some(at) => {
                let line = self.lines.remove(at);
                self.remove(record);
                self.closed(line)
            }
            None => self.line(record),
        };
        let at = match position {
            Position::Anywhere | Position::Last => self.lines.len(),
            Position::First => self.first(),
            Position::Before(anchor) => self.find(anchor).unwrap_or_default(),
            Position::After(anchor) => self.find(anchor).unwrap_or_default() + 1,
        };
        self.lines.insert(at, line);
        self.close_lines();
        Ok(true)
    }

    /// Removes the records that mean the same, and says whether there was one.
    pub fn remove(&mut self, record: &T) -> bool {
        self.remove_if(|own| own.same(record))
    }

    /// Removes records, and says whether there was one.
    pub(in crate::pg) fn remove_if(&mut self, predicate: impl Fn(&T) -> bool) -> bool {
        let before = self.lines.len();
        self.lines
            .retain(|line| !line.record().is_some_and(&predicate));
        self.lines.len() != before
    }

    /// Makes these the only records, in their order; says whether the file changed. Of what says the same twice the
    /// first counts. Comments, includes and what cannot be understood stay, and so do the lines of as many records
    /// as possible.
    ///
    /// # Errors
    /// `Input`, when a record cannot be written.
    pub fn make_exact(&mut self, wanted: &[T]) -> Result<bool> {
        let mut list: Vec<&T> = Vec::new();
        for record in wanted {
            record.check()?;
            if !list.iter().any(|other| other.same(record)) {
                list.push(record);
            }
        }
        let own: Vec<&T> = self.entries().collect();
        let stays = in_common(&own, &list);
        if stays.len() == own.len() && stays.len() == list.len() {
            return Ok(false);
        }
        let mut rest: Vec<Option<Line<T>>> = Vec::new();
        let mut lines = Vec::new();
        let mut places = vec![None; list.len()];
        // What goes leaves its place to what comes.
        let goes = !own.is_empty() && stays.first().is_none_or(|(own, _)| *own > 0);
        let first = match self.lines.iter().position(Line::is_active) {
            Some(at) if goes && self.lines[at].record().is_some() => at,
            _ => self.first(),
        };
        let mut start = 0;
        let mut number = 0;
        for (at, line) in self.lines.iter().enumerate() {
            if at == first {
                start = lines.len();
            }
            if line.record().is_some() {
                let stay = stays.iter().find(|(own, _)| *own == number);
                number += 1;
                let Some((_, wanted)) = stay else {
                    rest.push(Some(line.clone()));
                    continue;
                };
                places[*wanted] = Some(lines.len());
            }
            lines.push(line.clone());
        }
        if first >= self.lines.len() {
            start = lines.len();
        }
        // Each new one behind its predecessor, from the last one to the first: places before it stay true.
        let mut inserts = Vec::new();
        let mut at = start;
        for (record, place) in list.iter().zip(places) {
            match place {
                Some(place) => at = place + 1,
                None => inserts.push((at, *record)),
            }
        }
        for (at, record) in inserts.into_iter().rev() {
            let moved = rest.iter_mut().find(|line| {
                let own = line.as_ref().and_then(Line::record);
                own.is_some_and(|own| own.same(record))
            });
            let line = match moved.and_then(Option::take) {
                Some(line) => self.closed(line),
                None => self.line(record),
            };
            lines.insert(at, line);
        }
        self.lines = lines;
        self.close_lines();
        Ok(true)
    }

    fn find(&self, record: &T) -> Option<usize> {
        self.lines
            .iter()
            .position(|line| line.record().is_some_and(|own| own.same(record)))
    }

    fn is_placed(&self, at: usize, position: &Position<T>) -> bool {
        let active = |lines: &[Line<T>]| lines.iter().any(Line::is_active);
        match position {
            Position::Anywhere => true,
            Position::First => !active(&self.lines[..at]),
            Position::Last => !active(&self.lines[at + 1..]),
            Position::Before(anchor) => self.find(anchor).is_some_and(|anchor| at < anchor),
            Position::After(anchor) => self.find(anchor).is_some_and(|anchor| at > anchor),
        }
    }

    /// Before the first record or include directive and its comment, but below the heading of the columns.
    fn first(&self) -> usize {
        let lines = &self.lines;
        let Some(first) = lines.iter().position(Line::is_active) else {
            return lines.len();
        };
        let comment = lines[..first]
            .iter()
            .rev()
            .take_while(|line| line.is_comment() && !line.raw.starts_with(T::HEADING.as_bytes()))
            .count();
        first - comment
    }

    fn line(&self, record: &T) -> Line<T> {
        Line {
            raw: record.render_line().into_bytes(),
            end: end_like(self.lines.first().map(|line| line.end)),
            item: Item::Record(record.clone()),
        }
    }

    /// Ends every line that is followed by another one.
    fn close_lines(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let last = lines.len().saturating_sub(1);
        let end = end_like(lines.first().map(|line| line.end));
        let close = |(at, line)| if at < last { closed(line, end) } else { line };
        self.lines = lines.into_iter().enumerate().map(close).collect();
    }

    fn closed(&self, line: Line<T>) -> Line<T> {
        closed(line, end_like(self.lines.first().map(|line| line.end)))
    }
}

fn closed<T>(mut line: Line<T>, end: &'static str) -> Line<T> {
    if !line.end.ends_with('\n') {
        line.end = end;
    }
    // A continuation that leads nowhere would swallow the next line; only the last one of a file can have it.
    let kept = |line: &[u8], ends: &[u8]| {
        let last = line.iter().rposition(|byte| !ends.contains(byte));
        last.map_or(0, |last| last + 1)
    };
    if line.raw[..kept(&line.raw, b"\r")].ends_with(b"\\") {
        line.raw.truncate(kept(&line.raw, b"\r\\"));
    }
    line
}

/// The longest sequence that both lists have in common, as pairs of places.
fn in_common<T: Entry>(own: &[&T], wanted: &[&T]) -> Vec<(usize, usize)> {
    let mut longest = vec![vec![0usize; wanted.len() + 1]; own.len() + 1];
    for (i, left) in own.iter().enumerate().rev() {
        for (j, right) in wanted.iter().enumerate().rev() {
            longest[i][j] = if left.same(right) {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while let (Some(left), Some(right)) = (own.get(i), wanted.get(j)) {
        if left.same(right) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}
