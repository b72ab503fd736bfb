//! When what is written comes into effect: with a reload, or with a restart.

use std::collections::BTreeSet;

use super::{Seen, find};
use crate::pg::conf::Conf;
use crate::pg::guc::{self, Context};
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
    let guc = find(&seen.gucs, name);
    let configured = seen
        .auto
        .get(name)
        .or_else(|| conf.get(name))
        .or_else(|| guc.and_then(|guc| guc.boot.clone()));
    let running = seen
        .running
        .iter()
        .find(|running| running.name.eq_ignore_ascii_case(name))?;
    let same = match (&running.running, &configured) {
        (Some(running), Some(configured)) => {
            running == configured
                || guc.is_some_and(|guc| guc::same_value(guc, running, configured))
        }
        _ => false,
    };
    (!same).then(|| Pending {
        configured,
        ..running.clone()
    })
}

pub(super) fn needs_restart(seen: &Seen, name: &str) -> bool {
    find(&seen.gucs, name).is_some_and(|guc| guc.context == Context::Postmaster)
}
