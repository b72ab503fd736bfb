//! `pgsocle instance logs`.

use clap::Args;

use super::One;
use crate::cli::{Call, Ended, show};
use crate::door::exit;
use crate::host::tail::{self, Tail};
use crate::resource::instance::logs;

#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    one: One,
    /// Go on as the log grows, into the next file where the server begins one.
    #[arg(short = 'f', long, overrides_with = "no_follow")]
    follow: bool,
    /// End with the end of the file (the default).
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,
}

impl Logs {
    /// The content as it is, in whatever format.
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = self.one.target(&session)?;
        let mut tail = Tail::new(logs::current(&target, &session.local)?);
        loop {
            let bytes = tail.more()?;
            if !bytes.is_empty() {
                if !show::bytes(&bytes)? {
                    return Ok(exit::DONE);
                }
                continue;
            }
            if !self.follow {
                return Ok(exit::DONE);
            }
            let current = logs::current(&target, &session.local)?;
            if current == tail.path {
                tail::pause();
            } else {
                // What the server wrote before it went on to another file.
                show::bytes(&tail.more()?)?;
                tail = Tail::new(current);
            }
        }
    }
}
