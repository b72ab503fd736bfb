//! What PostgreSQL's own files and values look like: pure parsers and renderers, no input or output.

pub mod conf;
pub mod ident;
pub mod postmaster_pid;
pub mod scram;
pub mod version;
