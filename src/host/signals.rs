//! Signals that ask this process to end: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (the terminal, or the connection, is gone).
//!
//! Until a run touches something they end it at once, as they end any program. From then on the first one is only noted:
//! the engine ends the run at the next place where it can be ended. Another one ends the process where it is; the next
//! run then finds its way, as after a crash.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use signal_hook::flag;
use signal_hook::iterator::Signals as Arriving;

use crate::host::Interruption;

const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// What comes so soon after the first one is the same: timeout(1) signals its child, and then the group that it is in.
const AT_ONCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Signals {
    /// The number of the signal; 0: there was none.
    noted: Arc<AtomicUsize>,
    heeded: Cell<bool>,
}

impl Signals {
    /// From now on signals are noted. One that the caller has had this process ignore (`nohup`, a shell's background
    /// job) stays ignored.
    pub fn heed(&self) -> Result<()> {
        if self.heeded.replace(true) {
            return Ok(());
        }
        let ignored = ignored(&fs_err::read_to_string("/proc/self/status")?);
        let heeded: Vec<i32> = ENDING
            .into_iter()
            .filter(|signal| ignored & bit(*signal) == 0)
            .map(|signal| signal as i32)
            .collect();
        for number in &heeded {
            let noted = Arc::clone(&self.noted);
            flag::register_usize(*number, noted, number.unsigned_abs() as usize)
                .context("note signals")?;
        }
        let arriving = Arriving::new(&heeded).context("wait for signals")?;
        std::thread::spawn(move || obey(arriving));
        Ok(())
    }

    pub fn interruption(&self) -> Option<Interruption> {
        let number = i32::try_from(self.noted.load(Ordering::SeqCst)).ok()?;
        let signal = Signal::try_from(number).ok()?;
        Some(Interruption {
            number: u8::try_from(number).ok()?,
            name: signal.as_str(),
        })
    }
}

/// Says that the first signal is heeded, and ends the process with the next one.
fn obey(mut arriving: Arriving) {
    let mut first: Option<Instant> = None;
    for number in &mut arriving {
        match first {
            None => log::warn!(
                "interrupted: the run ends when its present change is done; another signal ends it at once"
            ),
            Some(first) if first.elapsed() < AT_ONCE => {}
            Some(_) => std::process::exit(128 + number),
        }
        first.get_or_insert_with(Instant::now);
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

/// The signals that a process ignores, as its status tells (`SigIgn` of proc(5)).
fn ignored(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored() {
        let status =
            "Name:\tpgsocle\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00\n";
        assert_eq!(ignored(status), bit(Signal::SIGHUP) | bit(Signal::SIGPIPE));
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn no_signal_is_no_interruption() {
        assert_eq!(Signals::default().interruption(), None);
    }
}
