//! What is said where `deletion_protection` stands in the way: of instances, databases and tablespaces in the same words.

use std::fmt::Display;

use crate::fault;

/// It was given together with `state: absent`.
pub fn contradiction(what: &str) -> anyhow::Error {
    fault!(
        Input,
        "{what}: `deletion_protection` together with `state: absent`: what is protected is not dropped, and the protection is not lifted in the call that drops";
        "lift it in a task of its own, with `deletion_protection: false`; then leave it out here"
    )
}

/// It is on.
pub fn refusal(kind: &str, name: impl Display) -> anyhow::Error {
    fault!(
        Conflict,
        "{kind} `{name}` is protected against deletion";
        "if it is to go, lift that in a call of its own: `deletion_protection: false` for the {kind}, or `pgsocle {kind} alter {name} --no-deletion-protection`; nothing was changed"
    )
}
