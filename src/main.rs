//! The program: arguments in, text or JSON out, and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(pgsocle::cli::run(std::env::args_os()))
}
