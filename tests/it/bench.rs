//! `make bench` and docs/performance.md speak of the same jobs, with the same limits.

use crate::support::source::checkout;

/// A job, its floor and its limit, as a row of the table says it.
type Row = [String; 3];

/// The decorators of `tests/bench/jobs.py`: `@job("title", "floor", ratio=2, resident=15_000)`.
fn measured(source: &str) -> Vec<Row> {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("@job(")?.strip_suffix(')'))
        .map(|call| {
            let mut quoted = call.split('"').skip(1).step_by(2).map(str::to_owned);
            let (title, floor) = (quoted.next().unwrap(), quoted.next().unwrap());
            let limits = call.rsplit('"').next().unwrap();
            let mut told = String::new();
            for (name, value) in limits.split(", ").filter_map(|limit| limit.split_once('=')) {
                let number: f64 = value.replace('_', "").parse().unwrap();
                // Of a ratio and of seconds the larger.
                let (and, limit) = match name {
                    "ratio" => ("", format!("{number} ×")),
                    "more" if number < 0.1 => (" or ", format!("floor + {} ms", number * 1000.0)),
                    "more" => (" or ", format!("floor + {number} s")),
                    "resident" => (", ", format!("{} MB resident", number / 1000.0)),
                    "bytes" => (", ", format!("{} MB", number / 1_000_000.0)),
                    other => panic!("limit {other}"),
                };
                if !told.is_empty() {
                    told += and;
                }
                told += &limit;
            }
            [title, floor, told]
        })
        .collect()
}

/// The first three columns of the first table that has a column "at most".
fn told(page: &str) -> Vec<Row> {
    page.lines()
        .skip_while(|line| !line.starts_with("| Job | Floor | At most |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            [cells[0], cells[1], cells[2]].map(str::to_owned)
        })
        .collect()
}

#[test]
fn the_page_tells_of_every_job() {
    let read = |path: &str| std::fs::read_to_string(checkout().join(path)).unwrap();
    let measured = measured(&read("tests/bench/jobs.py"));
    assert!(measured.len() > 10, "{measured:#?}");
    assert_eq!(told(&read("docs/performance.md")), measured);
}

#[test]
fn jobs_and_rows_are_read() {
    let source = "@job(\"`a`, b\", \"c\", ratio=1.10)\ndef a():\n@job(\"d\", \"-\", bytes=8_000_000)\n@job(\"e\", \"f\", ratio=2, resident=15_000)\n@job(\"g\", \"h\", ratio=1.05, more=0.5)\n";
    let page = "text\n\n| Job | Floor | At most | Ours |\n|---|---|---|---|\n| `a`, b | c | 1.1 × | 1 |\n| d | - | 8 MB | x |\n| e | f | 2 ×, 15 MB resident | |\n| g | h | 1.05 × or floor + 0.5 s | |\n\n| other |\n";
    assert_eq!(measured(source), told(page));
    assert_eq!(measured(source).len(), 4);
}
