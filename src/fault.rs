//! The one typed error: what went wrong, for whom, and what to do next.
//!
//! Everything a user can cause or mend is a [`Fault`], carried inside `anyhow::Error`. An error chain
//! without a `Fault` is a bug of ours by definition, and the doors report it as such (exit code 70); only what
//! the machine refuses at any moment (no room, no right) needs none: see [`Fault::told`].

use std::fmt;
use std::io::ErrorKind;

use serde::Serialize;

/// What kind of thing went wrong; decides the exit code and `error_kind` of the JSON reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request itself is wrong: an unknown key, a bad type, a value out of range.
    Input,
    /// What was addressed does not exist.
    NotFound,
    /// The request contradicts what is there (a create-only field, a port taken, dependent objects).
    Conflict,
    /// Known, but not done by this version or by this major of PostgreSQL.
    Unsupported,
    /// Something needed does not answer now (server stopped, lock held, no user session).
    Unavailable,
    /// What was begun goes on by itself; only our waiting for it has ended. Nothing of it is taken back.
    Underway,
    /// The caller may not do this.
    Denied,
    /// An external program failed.
    Command,
    /// The server refused a statement.
    Sql,
    /// A signal asked the run to end.
    Interrupted,
}

/// An error that is expected to happen: a message, and where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// A lower-case fragment, objects in backticks, no full stop.
    pub msg: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The server's error code, where the server refused.
    pub sqlstate: Option<String>,
    /// The number of the signal that asked the run to end.
    pub signal: Option<u8>,
}

impl Fault {
    pub fn new(kind: Kind, msg: impl Into<String>) -> Self {
        Self {
            kind,
            msg: msg.into(),
            hint: None,
            sqlstate: None,
            signal: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn sqlstate(mut self, code: impl Into<String>) -> Self {
        self.sqlstate = Some(code.into());
        self
    }

    #[must_use]
    pub fn signal(mut self, number: u8) -> Self {
        self.signal = Some(number);
        self
    }

    /// What an error says to whom it may concern: its fault, or what the machine refused. None: it is a bug of ours.
    pub fn told(error: &anyhow::Error) -> Option<Self> {
        let refused = |cause: &std::io::Error| {
            let hint = match cause.kind() {
                ErrorKind::StorageFull => "make room on the file system, and try again",
                ErrorKind::QuotaExceeded => "make room within the quota, and try again",
                ErrorKind::ReadOnlyFilesystem => {
                    "the file system is mounted read-only: mount it for writing, and try again"
                }
                ErrorKind::PermissionDenied => {
                    "the user who owns the instances must have the right to do it"
                }
                _ => return None,
            };
            let kind = match cause.kind() {
                ErrorKind::PermissionDenied => Kind::Denied,
                _ => Kind::Unavailable,
            };
            Some(Self::new(kind, format!("{error:#}")).hint(hint))
        };
        Self::of(error).cloned().or_else(|| {
            error
                .chain()
                .filter_map(|cause| cause.downcast_ref())
                .find_map(refused)
        })
    }

    /// The first fault in a chain of errors, outermost first.
    pub fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// Whether an error is a fault of this kind.
    pub fn is(error: &anyhow::Error, kind: Kind) -> bool {
        Self::of(error).is_some_and(|fault| fault.kind == kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)
    }
}

impl std::error::Error for Fault {}

impl Kind {
    /// Exit code of the command line: 2 for what the caller said wrong, 1 for everything else.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Input => 2,
            _ => 1,
        }
    }
}

/// Builds a [`Fault`] as an `anyhow::Error`: `fault!(NotFound, "no `{x}`"; "list them with …")`.
#[macro_export]
macro_rules! fault {
    ($kind:ident, $msg:literal $(, $arg:expr)* $(,)?) => {
        ::anyhow::Error::from($crate::fault::Fault::new($crate::fault::Kind::$kind, format!($msg $(, $arg)*)))
    };
    ($kind:ident, $msg:literal $(, $arg:expr)* ; $hint:literal $(, $harg:expr)* $(,)?) => {
        ::anyhow::Error::from(
            $crate::fault::Fault::new($crate::fault::Kind::$kind, format!($msg $(, $arg)*))
                .hint(format!($hint $(, $harg)*)),
        )
    };
}

/// Returns early with a [`Fault`].
#[macro_export]
macro_rules! bail_fault {
    ($($all:tt)*) => { return Err($crate::fault!($($all)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn found_below_context() {
        let name = "main";
        let error = Err::<(), _>(fault!(NotFound, "instance `{name}` not found"; "list them with `pgsocle instance list`"))
            .context("stop")
            .unwrap_err();
        let fault = Fault::of(&error).unwrap();
        assert_eq!(fault.kind, Kind::NotFound);
        assert_eq!(
            fault.hint.as_deref(),
            Some("list them with `pgsocle instance list`")
        );
        assert_eq!(format!("{error:#}"), "stop: instance `main` not found");
    }

    #[test]
    fn what_the_machine_refuses_is_no_bug() {
        let hint = |kind: ErrorKind| {
            let error = anyhow::Error::from(std::io::Error::from(kind)).context("write a file");
            Fault::told(&error).map(|fault| (fault.kind, fault.hint.unwrap_or_default()))
        };
        assert_eq!(
            hint(ErrorKind::StorageFull),
            Some((
                Kind::Unavailable,
                "make room on the file system, and try again".to_owned()
            ))
        );
        assert_eq!(
            hint(ErrorKind::PermissionDenied).map(|(kind, _)| kind),
            Some(Kind::Denied)
        );
        assert_eq!(hint(ErrorKind::NotFound), None);
        let error = fault!(Sql, "no such role"; "make it");
        assert_eq!(Fault::told(&error), Fault::of(&error).cloned());
    }
}
