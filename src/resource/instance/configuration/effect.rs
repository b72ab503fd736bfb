//! When what is written comes into effect: with a reload, or with a restart.

use std::collections::BTreeSet;

use super::{Seen, find};
use crate::pg::conf::Conf;
use crate::pg::guc::Context;
use crate::plan::{Fact, Pending, Plan};

/// What the server must be told so that these are in force.
pub(super) fn takes_effect(seen: &Seen, conf: &Conf, changed: &[String], plan: &mut Plan) {
    plan.facts.push(Fact::ReloadNeeded);
    let restart: BTreeSet<&String> = changed
        .iter()
        .filter(|name| needs_restart(seen, name))
        .collect();
    if !restart.is_empty() {
        let pending = restart
            .iter()
            .filter_map(|name| waits(seen, conf, name))
            .collect();
        plan.facts.push(Fact::RestartNeeded {
            changed: restart.into_iter().cloned().collect(),
            pending,
        });
    }
}

/// The parameter, if the server runs with another value than it will after a restart.
fn waits(seen: &Seen, conf: &Conf, name: &str) -> Option<Pending> {
    let configured = seen.auto.get(name).or_else(|| conf.get(name));
    let running = seen.running.iter().find(|running| running.is(name))?;
    running.configured_as(configured.as_deref())
}

pub(super) fn needs_restart(seen: &Seen, name: &str) -> bool {
    find(&seen.gucs, name).is_some_and(|guc| guc.context == Context::Postmaster)
}
