//! What the files and values of PostgreSQL look like: pure parsers and renderers, no input or output.

pub mod auth_file;
pub mod conf;
pub mod conninfo;
pub mod controldata;
pub mod guc;
pub mod hba;
pub mod ident;
pub mod ident_map;
pub mod pgpass;
pub mod postmaster_opts;
pub mod postmaster_pid;
pub mod scram;
pub mod selinux;
pub mod slot;
pub mod tablespace;
mod text;
pub mod version;
pub mod wal;
