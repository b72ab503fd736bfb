//! The options of `create` and `alter`, which come from the fields of the object.

use std::marker::PhantomData;

use anyhow::Result;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::change::Run;
use super::deferred::Deferred;
use super::options::{self, Verb};
use super::prompt;
use crate::resource;
use crate::schema::{self, Field};

/// What commands are about.
pub trait Noun {
    /// Its kind in the registry.
    const KIND: &'static str;
}

/// An object to be made, in options.
pub type Created<N> = Given<N, true>;
/// What is to be altered in an object, in options.
pub type Altered<N> = Given<N, false>;

/// An object in options, and what every run has. Made when it is called: the options come from the schema of the object.
pub type Stated<G> = Deferred<WithRun<G>>;

#[derive(Args)]
pub struct WithRun<G: Args> {
    #[command(flatten)]
    pub object: G,
    #[command(flatten)]
    pub run: Run,
}

/// What was given of an object. Secrets that are to be asked for are not asked for yet.
pub struct Given<N, const NEW: bool> {
    matches: ArgMatches,
    noun: PhantomData<N>,
}

impl<N: Noun, const NEW: bool> Given<N, NEW> {
    const VERB: Verb = if NEW { Verb::Create } else { Verb::Alter };

    /// The fields but for those that every run has as options of its own.
    fn fields() -> Vec<Field> {
        let schema = resource::kind(N::KIND).map(|kind| (kind.schema)());
        let mut fields = schema::fields(&schema.unwrap_or_default());
        fields.retain(|field| !["max_impact", "lock_timeout"].contains(&field.name.as_str()));
        fields
    }

    /// The object; asks for secrets.
    pub fn object(&self) -> Result<Map<String, Value>> {
        let collected = options::collect(
            &self.matches,
            &Self::fields(),
            Self::VERB,
            &mut prompt::secret,
        )?;
        match collected {
            Value::Object(object) => Ok(object),
            _ => Ok(Map::new()),
        }
    }
}

impl<N: Noun, const NEW: bool> Args for Given<N, NEW> {
    fn augment_args(command: Command) -> Command {
        command.args(options::arguments(&Self::fields(), Self::VERB))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<N: Noun, const NEW: bool> FromArgMatches for Given<N, NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            matches: matches.clone(),
            noun: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
