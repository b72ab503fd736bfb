//! The build of the executable as it is delivered. It ends on a panic (`panic = "abort"` in Cargo.toml), so that the tables for
//! unwinding, a twelfth of it, would serve nobody. Cargo has no stable way to have rustc leave them out in one profile alone
//! (rust-lang/cargo#10271, `profile-rustflags`); the linker can (binutils documentation, "Output Section Discarding").

#![expect(
    clippy::disallowed_methods,
    reason = "no part of the program: what Cargo tells comes by the environment"
)]

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const SCRIPT: &str =
    "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) } } INSERT BEFORE .rodata;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=scripts/build.rs");
    if env::var("PROFILE")? == "release" {
        let script = PathBuf::from(env::var("OUT_DIR")?).join("discard.ld");
        fs::write(&script, SCRIPT)?;
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}
