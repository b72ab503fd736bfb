//! Arguments that are made when they are looked at: those of a noun come from its schema, and most calls are about one
//! noun, or none (`--version`, the JSON door, the helper that keeps root's rights).

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// What `T` says of its command, said when that command is the one that is called or shown.
pub struct Deferred<T> {
    pub called: T,
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| named(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| named(command, T::augment_args_for_update))
    }
}

/// A command keeps what it says of itself: its options come late, and what is said of them is not about it.
fn named(command: Command, augment: fn(Command) -> Command) -> Command {
    let about = command.get_about().cloned();
    let long = command.get_long_about().cloned();
    augment(command)
        .about(Resettable::from(about))
        .long_about(Resettable::from(long))
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(|called| Self { called })
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(|called| Self { called })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.called.update_from_arg_matches(matches)
    }
}
