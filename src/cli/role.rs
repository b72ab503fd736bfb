//! `pgsocle role`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::change::{Format, Run};
use super::given::{Altered, Created, Noun, Stated, WithRun};
use super::manifest::Manifest;
use super::object::{Column, Within};
use super::{Call, Ended, develop, incomplete, prompt, show};
use crate::resource::expect::Wanted;

const KIND: &str = "role";

struct Role;

impl Noun for Role {
    const KIND: &'static str = KIND;
}

#[derive(Args)]
pub struct Command {
    #[command(flatten)]
    within: Within,
    /// Print the JSON schema of a role and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a role.
    Create(Stated<Created<Role>>),
    /// Change an existing role: what is not given stays.
    Alter(Stated<Altered<Role>>),
    /// Bring a role to what a manifest says.
    Apply {
        #[command(flatten)]
        manifest: Manifest,
        #[command(flatten)]
        run: Run,
    },
    /// Show a role.
    Get {
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show the roles that are not predefined.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Drop roles.
    Drop(Drop),
}

#[derive(Args)]
#[expect(
    clippy::struct_field_names,
    reason = "`--drop-owned` is the option's name"
)]
struct Drop {
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Drop everything that the role owns, its databases included.
    #[arg(
        long,
        overrides_with = "no_drop_owned",
        conflicts_with = "reassign_owned"
    )]
    drop_owned: bool,
    /// The contrary of `--drop-owned`.
    #[arg(long, overrides_with = "drop_owned", hide = true)]
    no_drop_owned: bool,
    /// Give everything that the role owns to this role.
    #[arg(long, value_name = "ROLE")]
    reassign_owned: Option<String>,
    /// Start a stopped instance for the time of this run, and stop it again.
    #[arg(long)]
    start_temporarily: bool,
    #[command(flatten)]
    run: Run,
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let within = &self.within;
        match &self.verb {
            _ if self.schema => develop::schema(KIND),
            None => Ok(incomplete(&["role"])),
            Some(Verb::Create(stated)) => {
                let WithRun { object, run } = &stated.called;
                within.converge(call, KIND, Wanted::New, object.object()?, run)
            }
            Some(Verb::Alter(stated)) => {
                let WithRun { object, run } = &stated.called;
                within.converge(call, KIND, Wanted::Existing, object.object()?, run)
            }
            Some(Verb::Apply { manifest, run }) => within.apply(call, KIND, manifest, run),
            Some(Verb::Get { name, format }) => within.get(call, KIND, name, *format),
            Some(Verb::List { format }) => within.list(call, KIND, *format, COLUMNS, |_| true),
            Some(Verb::Drop(drop)) => {
                let names = drop.names.join("`, `");
                if !drop.run.dry_run {
                    prompt::confirm(&format!("drop role `{names}`?"), call.interactive)?;
                }
                within.drop(call, KIND, &drop.names, &drop.options(), &drop.run)
            }
        }
    }
}

impl Drop {
    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        options.insert("drop_owned".into(), self.drop_owned.into());
        options.insert("start_temporarily".into(), self.start_temporarily.into());
        if let Some(role) = &self.reassign_owned {
            options.insert("reassign_owned".into(), role.as_str().into());
        }
        options
    }
}

const COLUMNS: &[Column] = &[
    ("name", |role| show::cell("", &role["name"])),
    ("attributes", attributes),
    ("password", |role| show::cell("", &role["has_password"])),
    ("sessions", sessions),
    ("valid until", |role| show::cell("", &role["valid_until"])),
    ("member of", |role| show::cell("", &role["memberships"])),
    ("comment", |role| show::cell("", &role["comment"])),
];

/// The attributes that differ from those of CREATE ROLE.
fn attributes(role: &Value) -> String {
    let names = [
        "superuser",
        "login",
        "createdb",
        "createrole",
        "replication",
        "bypassrls",
    ];
    let mut shown: Vec<&str> = names
        .into_iter()
        .filter(|name| role[name] == Value::Bool(true))
        .collect();
    if role["inherit"] == Value::Bool(false) {
        shown.push("no inherit");
    }
    shown.join(", ")
}

fn sessions(role: &Value) -> String {
    match role["connection_limit"].as_i64() {
        Some(limit) if limit >= 0 => limit.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows() {
        let role = json!({
            "name": "bob", "has_password": true, "inherit": false, "login": true, "superuser": false,
            "createdb": true, "connection_limit": 3, "valid_until": null, "memberships": ["a", "b"], "comment": "x",
        });
        let row: Vec<String> = COLUMNS.iter().map(|(_, cell)| cell(&role)).collect();
        assert_eq!(
            row,
            [
                "bob",
                "login, createdb, no inherit",
                "yes",
                "3",
                "",
                "a, b",
                "x"
            ]
        );
        assert_eq!(sessions(&json!({ "connection_limit": -1 })), "");
    }
}
