//! What PostgreSQL's own files and values look like: pure parsers and renderers, no input or output.

pub mod conf;
pub mod controldata;
pub mod guc;
pub mod hba;
pub mod ident;
pub mod pgpass;
pub mod postmaster_pid;
pub mod scram;
mod text;
pub mod version;
