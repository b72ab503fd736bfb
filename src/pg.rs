//! What PostgreSQL's own files and values look like: pure parsers and renderers, no input or output.

pub mod version;
