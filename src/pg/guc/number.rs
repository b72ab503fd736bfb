//! Numbers with units: `parse_int`, `parse_real` and `convert_to_base_unit` of `guc.c`.

use super::{Guc, VarType};

/// Why a text is no number of the parameter's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    NotNumber,
    BadUnit,
}

/// Memory units in bytes, the largest first.
const MEMORY: &[(&str, f64)] = &[
    ("TB", 1_099_511_627_776.0),
    ("GB", 1_073_741_824.0),
    ("MB", 1_048_576.0),
    ("kB", 1024.0),
    ("B", 1.0),
];

/// Time units in microseconds, the largest first.
const TIME: &[(&str, f64)] = &[
    ("d", 86_400_000_000.0),
    ("h", 3_600_000_000.0),
    ("min", 60_000_000.0),
    ("s", 1_000_000.0),
    ("ms", 1000.0),
    ("us", 1.0),
];

/// The value in the parameter's unit, rounded as the server does.
pub(super) fn parse(guc: &Guc, text: &str) -> Result<f64, Problem> {
    let (number, unit) = split(text.trim_start(), guc.vartype).ok_or(Problem::NotNumber)?;
    let value = if unit.is_empty() {
        number
    } else {
        let base = guc.unit.as_deref().ok_or(Problem::BadUnit)?;
        convert(number, unit, base).ok_or(Problem::BadUnit)?
    };
    Ok(if guc.vartype == VarType::Integer {
        value.round_ties_even()
    } else {
        value
    })
}

/// What to tell about a value that is no number.
pub(super) fn hint(guc: &Guc, problem: Problem) -> String {
    let kind = match guc.vartype {
        VarType::Integer => "a whole number",
        _ => "a number",
    };
    let table = guc
        .unit
        .as_deref()
        .and_then(table_of)
        .map(|(table, _)| table);
    match (table, problem) {
        (Some(table), _) => {
            let units: Vec<String> = table
                .iter()
                .rev()
                .map(|(unit, _)| format!("`{unit}`"))
                .collect();
            format!(
                "give {kind}, with a unit out of {} (case matters)",
                units.join(", ")
            )
        }
        (None, Problem::BadUnit) => format!("give {kind} alone: this parameter has no unit"),
        (None, Problem::NotNumber) => format!("give {kind}"),
    }
}

/// The number in front and the unit behind it.
fn split(text: &str, vartype: VarType) -> Option<(f64, &str)> {
    let (number, rest) = match vartype {
        VarType::Integer => c_integer(text).or_else(|| decimal(text))?,
        _ => decimal(text)?,
    };
    Some((number, rest.trim()))
}

/// A hexadecimal or octal integer, as `strtol` takes them with base 0.
fn c_integer(text: &str) -> Option<(f64, &str)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let (radix, digits) = match digits.strip_prefix('0')?.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (8, digits),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    // `010.5` is decimal again.
    if rest.starts_with(['.', 'e', 'E']) {
        return None;
    }
    let value = u32::from_str_radix(digits, radix).ok()?;
    Some((sign * f64::from(value), rest))
}

/// A decimal number, with or without fraction and exponent.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        from + bytes
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let (number, rest) = text.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, rest))
}

type Units = &'static [(&'static str, f64)];

/// The table a base unit such as `8kB` belongs to, and its size in the smallest unit of it.
fn table_of(base: &str) -> Option<(Units, f64)> {
    let (count, unit) = decimal(base).unwrap_or((1.0, base));
    [MEMORY, TIME].into_iter().find_map(|table| {
        let (_, size) = table.iter().find(|(name, _)| *name == unit)?;
        Some((table, count * size))
    })
}

fn convert(number: f64, unit: &str, base: &str) -> Option<f64> {
    let (table, base_size) = table_of(base)?;
    let position = table.iter().position(|(name, _)| *name == unit)?;
    let multiplier = table.get(position)?.1 / base_size;
    let value = number * multiplier;
    // `30.1GB` is rounded to whole megabytes before anything else.
    Some(match table.get(position + 1) {
        Some((_, smaller)) => {
            let smaller = smaller / base_size;
            (value / smaller).round_ties_even() * smaller
        }
        None => value,
    })
}

/// A number in the parameter's own unit as `SHOW` has it: in the largest unit in which it is whole. Everything else as it is.
pub fn with_unit(guc: &Guc, text: &str) -> String {
    let base = guc.unit.as_deref().and_then(table_of);
    let (Some((table, size)), Some((number, ""))) = (base, decimal(text)) else {
        return text.to_owned();
    };
    // Zero and what is below are words of the parameter: off, the default, no limit.
    if number <= 0.0 {
        return text.to_owned();
    }
    let whole = |(_, unit): &&(&str, f64)| (number * size / unit).fract() == 0.0;
    match table.iter().find(whole) {
        Some((unit, unit_size)) => format!("{}{unit}", number * size / unit_size),
        None => text.to_owned(),
    }
}

/// A share of the memory, such as `25%`, as whole megabytes (`5987MB`); `None` when the value is no
/// percentage above 0 and up to 100. `total_bytes` is the memory of the machine.
pub fn memory_percent(value: &str, total_bytes: u64) -> Option<String> {
    let megabytes = (share(value, total_bytes)? / 1_048_576.0).floor();
    Some(format!("{megabytes}MB"))
}

/// Whether `text` says the share `value` well enough to be left as it is: what pglift writes (it counts in thousands and
/// leaves the fraction away, `16 GB` for 16.7e9 bytes), or ours within a hundredth: a new kernel reports a little more or
/// less memory for the same machine, and nobody wants a restart for that.
pub fn is_memory_percent(text: &str, value: &str, total_bytes: u64) -> bool {
    let Some(bytes) = share(value, total_bytes) else {
        return false;
    };
    let megabytes = text
        .strip_suffix("MB")
        .and_then(|number| number.parse::<f64>().ok());
    if megabytes.is_some_and(|megabytes| (megabytes * 1_048_576.0 - bytes).abs() <= bytes / 100.0) {
        return true;
    }
    ["kB", "MB", "GB", "TB"]
        .into_iter()
        .zip([1e3, 1e6, 1e9, 1e12])
        .rfind(|(_, size)| bytes >= *size)
        .is_some_and(|(unit, size)| text == format!("{} {unit}", (bytes / size).floor()))
}

/// The bytes of a percentage of the memory.
fn share(value: &str, total_bytes: u64) -> Option<f64> {
    let number = value.trim().strip_suffix('%')?.trim_end();
    let (percent, rest) = decimal(number)?;
    if !rest.is_empty() || percent <= 0.0 || percent > 100.0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of memory are far below 2^53, and what is made of them is in megabytes or more"
    )]
    Some(total_bytes as f64 * percent / 100.0)
}
