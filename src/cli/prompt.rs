//! Questions to the person at the terminal.

use anyhow::Result;

use crate::bail_fault;
use crate::host::terminal;

/// Asks for a yes; goes on without a question when nobody wants to be asked.
///
/// # Errors
/// The answer is no, or nobody is there who could answer.
pub fn confirm(question: &str, interactive: bool) -> Result<()> {
    if !interactive {
        return Ok(());
    }
    if !terminal::attended() {
        bail_fault!(
            Denied,
            "this needs a confirmation, and nobody can be asked: standard input is no terminal; nothing was changed";
            "say `--non-interactive` to go on without questions"
        );
    }
    if terminal::ask(&format!("{question} [Y/n] "))?.is_some_and(|answer| is_yes(&answer)) {
        return Ok(());
    }
    bail_fault!(Denied, "aborted: nothing was changed");
}

/// No answer is the default answer, yes; anything else that is not clearly a yes is a no.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}

/// Asks for a secret that an option without a value stands for.
pub fn secret(what: &str) -> Result<String> {
    if !terminal::attended() {
        bail_fault!(
            Input,
            "{what}: it cannot be asked for, as standard input is no terminal";
            "give it in a manifest: `apply -f FILE`"
        );
    }
    match terminal::ask_hidden(&format!("{what}: "))? {
        Some(secret) => Ok(secret),
        None => bail_fault!(Denied, "aborted: nothing was changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (answer, yes) in [
            ("", true),
            ("y", true),
            (" Yes ", true),
            ("n", false),
            ("no", false),
            ("yeah, but", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
