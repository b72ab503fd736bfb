//! What can be said of a wanted tablespace without looking.

use anyhow::Result;

use crate::bail_fault;
use crate::manifest::{Presence, TablespaceSpec, check_identifier};
use crate::nearest;
use crate::resource::{catalog, protection};
use crate::settings::InstancePaths;

/// The planner's parameters that a tablespace may have of its own (ALTER TABLESPACE, "Parameters").
const PARAMETERS: [&str; 4] = [
    "effective_io_concurrency",
    "maintenance_io_concurrency",
    "random_page_cost",
    "seq_page_cost",
];

pub fn check(spec: &TablespaceSpec, paths: &InstancePaths) -> Result<()> {
    let name = &spec.name;
    let what = format!("tablespace `{name}`");
    check_identifier("tablespace", name)?;
    if catalog::INITIAL_TABLESPACES.contains(&name.as_str()) {
        if spec.state == Presence::Absent {
            bail_fault!(
                Input,
                "{what} belongs to the cluster itself: it cannot be dropped"
            );
        }
    } else if name.starts_with("pg_") {
        bail_fault!(Input, "{what}: names that begin with `pg_` are PostgreSQL's own"; "choose another name");
    }
    if spec.deletion_protection.is_some() && spec.state == Presence::Absent {
        return Err(protection::contradiction(&what));
    }
    if let Some(owner) = &spec.owner {
        check_identifier("owner", owner)?;
    }
    if spec
        .comment
        .as_ref()
        .is_some_and(|comment| comment.contains('\0'))
    {
        bail_fault!(Input, "{what}: `comment` holds a NUL character");
    }
    if let Some(location) = spec.place() {
        if !location.is_absolute() || location.as_str().contains(['\'', '\0', '\n']) {
            bail_fault!(Input, "{what}: `{location}` is no location"; "it is the full path of a directory, without single quotes or line breaks");
        }
        for (is, path) in [("data", &paths.datadir), ("WAL", &paths.waldir)] {
            if location.starts_with(path) || path.starts_with(&location) {
                bail_fault!(
                    Input,
                    "{what}: `{location}` and the {is} directory `{path}` lie in one another";
                    "a tablespace has a place of its own"
                );
            }
        }
    }
    catalog::check_settings(&what, spec.settings.as_ref())?;
    for (parameter, value) in spec.settings.iter().flatten() {
        let Some(known) = known(parameter) else {
            let hint = nearest::hint(parameter, PARAMETERS).unwrap_or_default();
            bail_fault!(Input, "{what}: a tablespace has no parameter `{parameter}`"; "{hint}");
        };
        let valid = |value: &str| {
            if known.ends_with("_cost") {
                value
                    .parse()
                    .is_ok_and(|cost: f64| cost.is_finite() && cost >= 0.0)
            } else {
                value.parse().is_ok_and(|number: u16| number <= 1000)
            }
        };
        if let Some(value) = value.0.as_deref().filter(|value| !valid(value)) {
            let wanted = if known.ends_with("_cost") {
                "a number that is not negative"
            } else {
                "a whole number up to 1000"
            };
            bail_fault!(Input, "{what}: `{parameter}` is {wanted}, not `{value}`");
        }
    }
    Ok(())
}

/// A parameter in the server's spelling.
fn known(parameter: &str) -> Option<&'static str> {
    PARAMETERS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(parameter))
}
