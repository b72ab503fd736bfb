//! "Did you mean …?": the valid name nearest to a mistyped one.

/// The name most like `word`, if one is near enough to be what was meant.
///
/// Case and the difference between `-` and `_` do not count; a swap of two letters is one mistake.
/// Up to a third of the letters may be wrong; a name that `word` begins or ends with (or the reverse)
/// also counts, for those who write `log` for `logpath`.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    if word.is_empty() {
        return None;
    }
    let mut best: Option<(usize, &'a str)> = None;
    for name in names {
        let Some(distance) = distance(&word, &fold(name)) else {
            continue;
        };
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The hint that goes with a wrong name: the nearest valid one, else the list of them all, else nothing.
pub fn hint<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    if let Some(name) = nearest(word, names.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    if names.is_empty() {
        return None;
    }
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("valid here: {}", list.join(", ")))
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// Mistakes between two folded names; nothing when they are too different.
fn distance(word: &str, name: &str) -> Option<usize> {
    let mistakes = strsim::damerau_levenshtein(word, name);
    let longest = word.chars().count().max(name.chars().count());
    if mistakes <= (longest / 3).max(1) {
        // Two letters of two are no mistake but another word.
        return (mistakes < longest).then_some(mistakes);
    }
    let (short, long) = if word.len() < name.len() {
        (word, name)
    } else {
        (name, word)
    };
    let part = short.chars().count() >= 3 && (long.starts_with(short) || long.ends_with(short));
    part.then_some(mistakes.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 7] = [
        "name",
        "login",
        "password",
        "encrypted_password",
        "valid_until",
        "hba_records",
        "ok",
    ];

    #[test]
    fn table() {
        for (word, expected) in [
            ("logn", Some("login")),
            ("lgoin", Some("login")),
            ("Login", Some("login")),
            ("valid-until", Some("valid_until")),
            ("pasword", Some("password")),
            ("passwd", Some("password")),
            ("valid", Some("valid_until")),
            ("records", Some("hba_records")),
            ("xyz", None),
            ("no", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, NAMES), expected, "{word}");
        }
    }

    #[test]
    fn hints() {
        assert_eq!(hint("logn", NAMES).unwrap(), "did you mean `login`?");
        assert_eq!(
            hint("zzz", ["a_key", "b_key"]).unwrap(),
            "valid here: `a_key`, `b_key`"
        );
        assert_eq!(hint("zzz", []), None);
    }

    proptest! {
        #[test]
        fn a_valid_name_is_nearest_to_itself(word in any::<String>()) {
            prop_assume!(!word.is_empty());
            prop_assert_eq!(nearest(&word, [word.as_str()]), (fold(&word).chars().count() > 0).then_some(word.as_str()));
            let _ = nearest(&word, NAMES);
        }
    }
}
