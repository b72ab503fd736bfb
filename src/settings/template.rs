//! Templates of paths and commands: text with variables, `pgsql/{version}/{name}/data`.
//!
//! As in Python's `str.format`, which pglift uses, `{{` and `}}` stand for the braces themselves.

use anyhow::Result;

use crate::fault;
use crate::nearest;

/// The hint that goes with an unmatched brace.
pub(super) const BRACES: &str = "write `{{` or `}}` for a brace that is no variable's";

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// Text that stands for itself.
    Text(&'t str),
    /// The name of a variable, without its braces.
    Variable(&'t str),
}

/// The parts of a template; an error (a fragment of text) for a brace without its partner.
pub fn parts(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, tail) = rest.split_at(at);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if tail.starts_with("{{") || tail.starts_with("}}") {
            // Both braces are one byte each.
            let (pair, tail) = tail.split_at(2);
            parts.push(Part::Text(pair.split_at(1).0));
            rest = tail;
            continue;
        }
        let Some((name, tail)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'))
        else {
            return Err(format!("unmatched brace in `{template}`"));
        };
        parts.push(Part::Variable(name));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// The variables of a template, in their order, each as often as it is there.
pub fn variables(template: &str) -> Result<Vec<&str>, String> {
    Ok(parts(template)?
        .into_iter()
        .filter_map(|part| match part {
            Part::Variable(name) => Some(name),
            Part::Text(_) => None,
        })
        .collect())
}

/// Puts values for the variables of a template.
///
/// # Errors
/// A fault of kind `Input` for a variable that is not in `values`, and for a brace without its partner.
pub fn expand(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    for part in parts(template).map_err(|msg| fault!(Input, "{msg}"; "{BRACES}"))? {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable(name) => match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(value),
                None => {
                    return Err(unknown(
                        template,
                        name,
                        values.iter().map(|(name, _)| *name),
                    ));
                }
            },
        }
    }
    Ok(text)
}

fn unknown<'a>(template: &str, name: &str, names: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let mut fault = fault::Fault::new(
        fault::Kind::Input,
        format!("unknown variable `{{{name}}}` in `{template}`"),
    );
    fault.hint = nearest::hint(name, names);
    fault.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use proptest::prelude::*;

    const VALUES: [(&str, &str); 3] = [("name", "main"), ("version", "17"), ("auth.local", "peer")];

    #[test]
    fn table() {
        for (template, expected) in [
            ("", ""),
            ("pgsql/{version}/{name}/data", "pgsql/17/main/data"),
            ("{name}{name}", "mainmain"),
            ("local all all {auth.local}", "local all all peer"),
            ("{{name}} is {name}", "{name} is main"),
            ("é{{é}}", "é{é}"),
        ] {
            assert_eq!(expand(template, &VALUES).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn errors() {
        for (template, msg, hint) in [
            (
                "x/{nmae}",
                "unknown variable `{nmae}` in `x/{nmae}`",
                Some("did you mean `name`?"),
            ),
            (
                "x/{}",
                "unknown variable `{}` in `x/{}`",
                Some("valid here: `name`, `version`, `auth.local`"),
            ),
            ("x/{name", "unmatched brace in `x/{name`", Some(BRACES)),
            ("x/name}", "unmatched brace in `x/name}`", Some(BRACES)),
        ] {
            let error = expand(template, &VALUES).unwrap_err();
            let fault = Fault::of(&error).unwrap();
            assert_eq!((fault.msg.as_str(), fault.hint.as_deref()), (msg, hint));
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_itself(text in any::<String>()) {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(expand(&escaped, &[]).unwrap(), text);
        }

        #[test]
        fn no_panic(text in "[{}a-z]{0,20}") {
            let _ = expand(&text, &VALUES);
        }
    }
}
