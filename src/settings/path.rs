//! What the schema says about a path: its base, and that it is one. Loading completes paths by it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Key in the schema of a path: the base that a relative one is completed with.
pub(super) const RELATIVE_TO: &str = "x-relative-to";
/// Key in the schema of a path or of words: the variables it may hold.
pub(super) const VARIABLES: &str = "x-variables";

/// Declares the kinds of paths, for `#[schemars(with = "…")]`.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $(below $base:literal)?;)*) => {$(
        $(#[$doc])*
        pub(super) struct $kind;

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                #[allow(unused_mut, reason = "not every kind has a base")]
                let mut schema = json_schema!({ "type": "string", "format": "path" });
                $(schema.insert(RELATIVE_TO.to_owned(), $base.into());)?
                schema
            }
        }
    )*};
}

kinds! {
    /// An absolute path.
    Absolute;
    /// Configuration.
    Etc below "{prefix}/etc";
    /// Data that lasts.
    Srv below "{prefix}/srv";
    /// Logs.
    Log below "{prefix}/log";
    /// What does not outlive a boot: sockets, locks, PID files.
    Run below "{run_prefix}";
}
