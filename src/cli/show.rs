//! What people see: tables, objects, plans, diffs. Data go to stdout.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use serde_json::{Map, Value};
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::group_diff_ops;
use similar::udiff::UnifiedHunkHeader;

use crate::engine::Outcome;
use crate::fault;
use crate::plan::Diff;

/// Lines that are shown around a change.
const CONTEXT: usize = 3;

/// Writes to stdout. A reader that has gone away is no error.
pub fn print(text: &str) -> Result<()> {
    bytes(text.as_bytes()).map(|_| ())
}

/// Writes bytes to stdout as they are; false when nobody reads them any more.
pub fn bytes(bytes: &[u8]) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(fault!(
            Unavailable,
            "standard output cannot be written: {error}"
        )),
    }
}

/// Writes JSON to stdout.
pub fn json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Writes messages to stderr, a line each.
pub fn say(messages: impl IntoIterator<Item = String>) {
    let _ = std::io::stderr().write_all(lines(messages).as_bytes());
}

/// Lines, each with its end.
pub fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Filled with spaces. A width of the format macros has 16 bits, and what stands in a file may be longer.
fn padded(text: &str, width: usize) -> String {
    let room = width.saturating_sub(text.chars().count());
    text.to_owned() + &" ".repeat(room)
}

/// Aligned columns under their titles; nothing is cut, however narrow the terminal. The last column is not padded.
pub fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let mut widths = vec![0; titles.len()];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&padded(cell, width + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The attributes of one object, a line each; those of a mapping and the items of a list of objects below each other.
pub fn object(view: &Map<String, Value>) -> String {
    let width = view.keys().map(|key| key.chars().count()).max();
    let width = width.unwrap_or_default() + 2;
    let mut text = String::new();
    for (key, value) in view {
        let mut name = key.as_str();
        for line in value_lines(key, value) {
            let line = padded(name, width) + &line;
            text.push_str(line.trim_end());
            text.push('\n');
            name = "";
        }
    }
    text
}

/// The lines of a value, at least one.
fn value_lines(key: &str, value: &Value) -> Vec<String> {
    let lines: Vec<String> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| format!("{name} = {}", cell(name, value)))
            .collect(),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(|item| cell(key, item)).collect()
        }
        _ => vec![cell(key, value)],
    };
    if lines.is_empty() {
        vec![String::new()]
    } else {
        lines
    }
}

/// A value on one line: sizes for people, lists with commas, nothing for `null`.
pub fn cell(key: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) if key == "size" || key.ends_with("_size") => number
            .as_u64()
            .map_or_else(|| number.to_string(), human_size),
        Value::Number(number) => number.to_string(),
        // A line end in a comment would break the columns.
        Value::String(text) => text.replace('\n', " "),
        Value::Array(items) => items
            .iter()
            .map(|item| cell(key, item))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name}: {}", cell(name, value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Bytes in the largest unit of which there are at least ten, as `pg_size_pretty` has them.
pub fn human_size(bytes: u64) -> String {
    let mut size = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if size < 10 * 1024 {
            return format!("{size} {unit}");
        }
        size = size / 1024 + u64::from(size % 1024 >= 512);
    }
    format!("{size} PB")
}

/// A diff in the unified format. With one algorithm of the crate in place of a choice of all of them, which are a
/// twentieth of the executable.
pub fn unified(diff: &Diff) -> String {
    let [before, after]: [Vec<&str>; 2] =
        [&diff.before, &diff.after].map(|text| text.split_inclusive('\n').collect());
    let mut found = Compact::new(Replace::new(Capture::new()), &before[..], &after[..]);
    let Ok(()) = myers::diff(
        &mut found,
        &before[..],
        0..before.len(),
        &after[..],
        0..after.len(),
    );
    let hunks = group_diff_ops(found.into_inner().into_inner().into_ops(), CONTEXT);
    let mut text = String::new();
    if !hunks.is_empty() {
        let _ = writeln!(
            text,
            "--- {}\n+++ {}",
            diff.before_header, diff.after_header
        );
    }
    for hunk in hunks {
        let _ = writeln!(text, "{}", UnifiedHunkHeader::new(&hunk));
        for change in hunk
            .iter()
            .flat_map(|op| op.iter_changes(&before[..], &after[..]))
        {
            let line = change.value();
            let _ = write!(text, "{}{line}", change.tag());
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

/// What was done or, in a dry run, would be: a sentence for each change.
pub fn outcome(outcome: &Outcome, dry_run: bool, diff: bool) -> String {
    let plan = &outcome.plan;
    let mut text = String::new();
    for change in &plan.changes {
        text.push_str(&change.summary);
        if dry_run {
            let _ = write!(text, " (impact: {})", change.impact);
        }
        text.push('\n');
        if diff {
            text.push_str(&unified(&change.diff));
        }
    }
    for what in &plan.undetermined {
        let _ = writeln!(text, "undetermined: {what}");
    }
    if plan.is_empty() && plan.undetermined.is_empty() {
        text.push_str("nothing to do\n");
    }
    if dry_run {
        text.push_str("dry run: nothing was changed\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Change, Impact, Plan};
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn diffs_are_those_of_the_whole_crate(before in "([ab]{0,1}\n){0,12}[ab]{0,2}", after in "([ab]{0,1}\n){0,12}[ab]{0,2}") {
            let diff = Diff::new("x", before, after);
            let whole = similar::TextDiff::from_lines(&diff.before, &diff.after)
                .unified_diff()
                .context_radius(CONTEXT)
                .header("x", "x")
                .to_string();
            prop_assert_eq!(unified(&diff), whole);
        }
    }

    #[test]
    fn columns_are_aligned_and_never_cut() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let long = "x".repeat(200);
        assert_eq!(
            table(
                &["name", "port", "status"],
                &[
                    row(["main", "5432", "running"]),
                    row(["été", "", ""]),
                    row(["b", &long, "not_running"]),
                ]
            ),
            format!(
                "name  port{}  status\nmain  5432{}  running\nété\nb     {long}  not_running\n",
                " ".repeat(196),
                " ".repeat(196)
            )
        );
        assert_eq!(table(&["name", "port"], &[]), "name  port\n");
    }

    #[test]
    fn objects() {
        let view = json!({
            "name": "bob", "login": true, "valid_until": null, "memberships": ["a", "b"], "size": 8_400_000,
            "settings": {"work_mem": "4MB", "search_path": "a, b"},
            "schemas": [{"name": "app", "owner": "bob"}, {"name": "tmp", "owner": null}],
            "comment": "two\nlines", "extensions": [], "more": {}
        });
        let Value::Object(view) = view else { panic!() };
        assert_eq!(
            object(&view),
            "\
name         bob
login        yes
valid_until
memberships  a, b
size         8203 kB
settings     work_mem = 4MB
             search_path = a, b
schemas      name: app, owner: bob
             name: tmp
comment      two lines
extensions
more
"
        );
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (8_400_000, "8203 kB"),
            (10 * 1024 * 1024, "10 MB"),
            (1 << 40, "1024 GB"),
            (u64::MAX, "16384 PB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    fn some_outcome() -> Outcome {
        let diff = Diff::new(
            "role bob",
            "login: no\nname: bob\n",
            "login: yes\nname: bob\n",
        );
        let change = Change::new(
            Action::Alter,
            "role bob",
            "alter role `bob`",
            diff,
            Impact::None,
            Vec::new(),
        );
        Outcome {
            plan: Plan {
                changes: vec![change],
                undetermined: vec!["role eve: the server is stopped".into()],
                ..Plan::default()
            },
            ..Outcome::default()
        }
    }

    #[test]
    fn outcomes() {
        assert_eq!(
            outcome(&some_outcome(), true, true),
            "\
alter role `bob` (impact: none)
--- role bob
+++ role bob
@@ -1,2 +1,2 @@
-login: no
+login: yes
 name: bob
undetermined: role eve: the server is stopped
dry run: nothing was changed
"
        );
        assert_eq!(
            outcome(&some_outcome(), false, false),
            "alter role `bob`\nundetermined: role eve: the server is stopped\n"
        );
        assert_eq!(outcome(&Outcome::default(), false, true), "nothing to do\n");
        assert_eq!(
            outcome(&Outcome::default(), true, false),
            "nothing to do\ndry run: nothing was changed\n"
        );
    }

    proptest! {
        #[test]
        fn every_row_is_a_line(rows in prop::collection::vec(prop::collection::vec("[^\n\r]*", 2..3), 0..5)) {
            let text = table(&["a", "b"], &rows);
            prop_assert_eq!(text.matches('\n').count(), rows.len() + 1);
        }
    }
}
