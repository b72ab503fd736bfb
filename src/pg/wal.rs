//! Names of WAL files: `TTTTTTTTXXXXXXXXYYYYYYYY`, the timeline, and the number in two parts (`XLogFileName` in `xlog_internal.h`).

use std::collections::BTreeMap;

/// The name of the file that holds a place in the WAL.
pub fn name(timeline: u32, place: u64, size: u32) -> String {
    let size = u64::from(size.max(1));
    numbered(timeline, place / size, size)
}

/// The name of the file of a number; the size of a file is not zero.
pub fn numbered(timeline: u32, number: u64, size: u64) -> String {
    let per_part = ((1 << 32) / size).max(1);
    format!(
        "{timeline:08X}{:08X}{:08X}",
        number / per_part,
        number % per_part
    )
}

/// Whether it is the name of a whole WAL file.
pub fn is_segment(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    name.len() == 24 && name.bytes().all(digit)
}

/// The timeline of a WAL file.
pub fn timeline(name: &str) -> Option<u32> {
    u32::from_str_radix(name.get(..8)?, 16).ok()
}

/// What of a name tells the order of files whatever their timelines; none for what is no WAL (`.history`).
pub fn order(name: &str) -> Option<&str> {
    is_segment(name.get(..24)?).then(|| &name[8..24])
}

/// The number of a file, counted from the beginning of the WAL; the size of a file is not zero.
pub fn number(name: &str, size: u64) -> Option<u64> {
    let part = |from: usize| u64::from_str_radix(name.get(from..from + 8)?, 16).ok();
    let per_part = ((1 << 32) / size).max(1);
    Some(part(8)? * per_part + part(16)?)
}

/// The first and the last of files that follow each other, for each such row of them; `names` are sorted.
pub fn ranges(names: &[&str], size: u32) -> Vec<(String, String)> {
    let size = u64::from(size.max(1));
    let mut ranges: Vec<(String, String)> = Vec::new();
    for name in names.iter().copied().filter(|name| is_segment(name)) {
        let follows = |last: &str| {
            last[..8] == name[..8]
                && number(last, size).map(|number| number + 1) == number(name, size)
        };
        match ranges.last_mut() {
            Some((_, last)) if follows(last) => name.clone_into(last),
            _ => ranges.push((name.to_owned(), name.to_owned())),
        }
    }
    ranges
}

/// The files that are missing between the first that a backup needs (`starts`) and the last one that is there, on each timeline.
/// On a timeline on which no backup begins, the first one that is there counts.
pub fn gaps(names: &[&str], starts: &[&str], size: u32) -> Vec<(String, String)> {
    let size = u64::from(size.max(1));
    let Some(oldest) = starts.iter().filter_map(|start| number(start, size)).min() else {
        return Vec::new();
    };
    let mut present: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for name in names.iter().filter(|name| is_segment(name)) {
        if let (Some(timeline), Some(number)) = (timeline(name), number(name, size))
            && number >= oldest
        {
            present.entry(timeline).or_default().push(number);
        }
    }
    let mut gaps = Vec::new();
    for (own, numbers) in &mut present {
        numbers.sort_unstable();
        let own_starts = starts.iter().filter(|start| timeline(start) == Some(*own));
        let first = own_starts.filter_map(|start| number(start, size)).min();
        let Some(mut expected) = first.or(numbers.first().copied()) else {
            continue;
        };
        let first = expected;
        for number in numbers.iter().copied().filter(|number| *number >= first) {
            if number > expected {
                let [from, until] = [expected, number - 1].map(|gone| numbered(*own, gone, size));
                gaps.push((from, until));
            }
            expected = number + 1;
        }
    }
    gaps
}

/// The first file that is missing behind one that a backup brings itself, where later ones are there; `is_on_the_way` tells of a
/// timeline and a place in the WAL whether a recovery comes there.
pub fn gap(
    names: &[String],
    last: &str,
    size: u32,
    is_on_the_way: impl Fn(u32, u64) -> bool,
) -> Option<String> {
    let size = u64::from(size.max(1));
    let brought = number(last, size)?;
    let mut present: Vec<(u64, u32)> = names
        .iter()
        .filter(|name| is_segment(name))
        .filter_map(|name| Some((number(name, size)?, timeline(name)?)))
        .filter(|(number, timeline)| {
            *number > brought && is_on_the_way(*timeline, number.saturating_mul(size))
        })
        .collect();
    present.sort_unstable();
    let mut expected = brought + 1;
    for (number, timeline) in present {
        if number > expected {
            return Some(numbered(timeline, expected, size));
        }
        expected = number + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 16 << 20;

    #[test]
    fn names() {
        for (timeline, place, size, wanted) in [
            (1, 0x200_0028, SIZE, "000000010000000000000002"),
            (2, 0x1_0000_0000, SIZE, "000000020000000100000000"),
            (1, 0x4000_0000, 1 << 30, "000000010000000000000001"),
            (1, 0x1_4000_0000, 1 << 30, "000000010000000100000001"),
        ] {
            assert_eq!(name(timeline, place, size), wanted);
        }
        for (name, order_of) in [
            ("000000010000000000000002", Some("0000000000000002")),
            (
                "000000010000000000000002.00000028.backup",
                Some("0000000000000002"),
            ),
            ("00000002.history", None),
            (".000000010000000000000002", None),
        ] {
            assert_eq!(order(name), order_of, "{name}");
        }
        assert!(!is_segment("000000010000000000000002.partial"));
        assert_eq!(timeline("0000000A0000000000000002"), Some(10));
    }

    fn file(timeline: u32, number: u64) -> String {
        name(timeline, number * u64::from(SIZE), SIZE)
    }

    fn shown(ranges: Vec<(String, String)>) -> Vec<String> {
        let short = |name: &str| format!("{}:{}", &name[7..8], &name[14..].trim_start_matches('0'));
        ranges
            .into_iter()
            .map(|(from, until)| format!("{}-{}", short(&from), short(&until)))
            .collect()
    }

    #[test]
    fn rows_of_files() {
        let names: Vec<String> = [(1, 1), (1, 2), (1, 4), (1, 255), (1, 256), (2, 257)]
            .map(|(timeline, number)| file(timeline, number))
            .into();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(
            shown(ranges(&names, SIZE)),
            [
                "1:1-1:2",
                "1:4-1:4",
                "1:FF-1:100000000",
                "2:100000001-2:100000001"
            ]
        );
        assert_eq!(ranges(&[], SIZE), []);
    }

    #[test]
    fn files_that_are_missing() {
        let missing = |present: &[(u32, u64)], starts: &[(u32, u64)]| {
            let names = |all: &[(u32, u64)]| -> Vec<String> {
                all.iter()
                    .map(|(timeline, number)| file(*timeline, *number))
                    .collect()
            };
            let (present, starts) = (names(present), names(starts));
            let present: Vec<&str> = present.iter().map(String::as_str).collect();
            let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
            shown(gaps(&present, &starts, SIZE))
        };
        // What lies before the oldest backup is of no matter.
        assert_eq!(missing(&[(1, 1), (1, 3), (1, 4)], &[(1, 3)]), [""; 0]);
        assert_eq!(missing(&[(1, 3), (1, 6)], &[(1, 3)]), ["1:4-1:5"]);
        assert_eq!(missing(&[(1, 4)], &[(1, 3)]), ["1:3-1:3"]);
        assert_eq!(missing(&[], &[(1, 3)]), [""; 0]);
        assert_eq!(missing(&[(1, 3), (1, 5)], &[]), [""; 0]);
        // Another timeline begins where it does.
        assert_eq!(
            missing(&[(1, 3), (1, 4), (2, 4), (2, 6)], &[(1, 3)]),
            ["2:5-2:5"]
        );
        assert_eq!(missing(&[(1, 3), (2, 6)], &[(1, 3), (2, 5)]), ["2:5-2:5"]);
    }

    #[test]
    fn the_first_gap_on_the_way() {
        // The second timeline left the first one within the fifth file.
        let way = |timeline, place| timeline == 2 || place <= 5 * u64::from(SIZE) + 7;
        let first = |present: &[(u32, u64)]| {
            let names: Vec<String> = present.iter().map(|(t, n)| file(*t, *n)).collect();
            gap(&names, &file(1, 3), SIZE, way)
        };
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[(1, 1), (1, 4), (1, 5), (2, 5), (2, 6)]), None);
        // What was undone is of no matter.
        assert_eq!(first(&[(1, 4), (1, 5), (1, 9), (2, 5)]), None);
        assert_eq!(first(&[(1, 5), (2, 5)]), Some(file(1, 4)));
        assert_eq!(first(&[(1, 4), (2, 5), (2, 8), (2, 10)]), Some(file(2, 6)));
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(names: Vec<String>, size: u32) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let _ = (ranges(&names, size), gaps(&names, &names, size));
            for name in names {
                let _ = (order(name), timeline(name));
            }
        }
    }
}
