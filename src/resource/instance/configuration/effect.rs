//! When what is written comes into effect: with a reload, or with a restart.

use std::collections::BTreeSet;

use super::{Seen, find};
use crate::pg::conf::Conf;
use crate::pg::guc::Context;
use crate::plan::{Fact, Pending, Plan, Reach};

/// What the server must be told so that these are in force.
pub(super) fn takes_effect(
    seen: &Seen,
    conf: &Conf,
    changed: &[String],
    reach: Reach,
    plan: &mut Plan,
) {
    plan.facts.push(Fact::ReloadNeeded(reach));
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

/// Parameters of which a number, a switch or a word decides who gets in, or what runs when a session begins (login event
/// triggers).
const OF_SESSIONS: [&str; 3] = [
    "db_user_namespace",
    "event_triggers",
    "session_replication_role",
];

/// What it changes that the server reads these; `plain`: nothing is left to be said of their values.
pub(super) fn reach(seen: &Seen, changed: &[String], plain: bool) -> Reach {
    let of_sessions = |name: &String| {
        OF_SESSIONS.contains(&name.as_str())
            || find(&seen.gucs, name).is_none_or(|guc| {
                matches!(guc.context, Context::SuperuserBackend | Context::Backend)
            })
    };
    if plain && !seen.unread && !changed.iter().any(of_sessions) {
        Reach::Values
    } else {
        Reach::Sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples::from;
    use serde_json::json;

    #[test]
    fn what_can_keep_sessions_out() {
        let guc = |name: &str, context: &str| json!({ "name": name, "vartype": "bool", "unit": null, "context": context, "enumvals": [], "boot": null });
        let gucs = json!([
            guc("jit", "user"),
            guc("log_checkpoints", "sighup"),
            guc("log_connections", "superuser-backend"),
            guc("ignore_system_indexes", "backend"),
            guc("db_user_namespace", "sighup"),
        ]);
        for (changed, unread, plain, expected) in [
            (vec!["jit", "log_checkpoints"], false, true, Reach::Values),
            (vec!["jit"], false, false, Reach::Sessions),
            // Whatever somebody else has written is read as well.
            (vec!["jit"], true, true, Reach::Sessions),
            (vec!["jit", "log_connections"], false, true, Reach::Sessions),
            (vec!["ignore_system_indexes"], false, true, Reach::Sessions),
            (vec!["db_user_namespace"], false, true, Reach::Sessions),
            (vec!["of_a_library"], false, true, Reach::Sessions),
        ] {
            let seen = Seen {
                gucs: from(gucs.clone()),
                unread,
                ..Seen::default()
            };
            let changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
            assert_eq!(reach(&seen, &changed, plain), expected, "{changed:?}");
        }
    }
}
