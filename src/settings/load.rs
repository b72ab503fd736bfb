//! Loading: file, environment and defaults become [`Settings`] with every path complete.

use std::cell::LazyCell;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::environment::{self, Override};
use super::path::{RELATIVE_TO, VARIABLES};
use super::schema;
use super::template::{BRACES, expand, variables};
use super::{Settings, SystemUser};
use crate::input::{self, Wrong};
use crate::nearest;

/// The user that settings are resolved for: the calling one; when root calls, the system user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user: String,
    /// Its primary group.
    pub group: String,
    pub uid: u32,
    pub gid: u32,
    pub home: Utf8PathBuf,
    /// `$XDG_CONFIG_HOME`, where set.
    pub config_home: Option<Utf8PathBuf>,
    /// `$XDG_DATA_HOME`, where set.
    pub data_home: Option<Utf8PathBuf>,
    /// `$XDG_RUNTIME_DIR`, or `/run/user/UID` without that variable; only where the directory exists.
    pub runtime_dir: Option<Utf8PathBuf>,
    /// The program was called as root.
    pub root: bool,
}

impl Settings {
    /// Settings from the text of the file (with its path, for messages), the environment and the defaults.
    ///
    /// # Errors
    /// One fault of kind `Input` that names the key's path, the file and line or the variable, and the
    /// nearest valid name.
    pub fn load(
        text: Option<(&Utf8Path, &str)>,
        environment: &[(String, String)],
        caller: &Caller,
    ) -> Result<Self> {
        let sources = Sources::read(text, environment)?;
        resolve(sources.value(), &sources.schema, caller)
            .map_err(|wrong| sources.locate(wrong).into_fault().into())
    }

    /// The user and group that file and environment name, before there is a [`Caller`]: root needs to
    /// know whom to become. Only this key is checked here.
    pub fn system_user(
        text: Option<(&Utf8Path, &str)>,
        environment: &[(String, String)],
    ) -> Result<Option<SystemUser>> {
        let sources = Sources::read(text, environment)?;
        let Some(value) = sources.value().remove("sysuser") else {
            return Ok(None);
        };
        input::read(value, "sysuser")
            .map(Some)
            .map_err(|wrong| sources.locate(wrong).into_fault().into())
    }

    /// What file and environment set, as they say it, without any default and unchecked: load first.
    pub fn only_set(
        text: Option<(&Utf8Path, &str)>,
        environment: &[(String, String)],
    ) -> Result<Value> {
        Ok(Value::Object(Sources::read(text, environment)?.value()))
    }

    /// The settings of a site that sets nothing.
    pub fn defaults(caller: &Caller) -> Result<Self> {
        Self::load(None, &[], caller)
    }

    /// All settings; loading them again gives the same.
    pub fn effective(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

/// Where settings come from.
struct Sources {
    /// Made when it is asked for: many a run has nothing in its environment.
    schema: LazyCell<Value>,
    document: Option<Document>,
    overrides: Vec<Override>,
}

impl Sources {
    fn read(text: Option<(&Utf8Path, &str)>, environment: &[(String, String)]) -> Result<Self> {
        let schema = LazyCell::new(Settings::schema as fn() -> Value);
        Ok(Self {
            document: text
                .map(|(file, text)| Document::parse(file, text))
                .transpose()?,
            overrides: environment::read(environment, &schema)?,
            schema,
        })
    }

    fn value(&self) -> Map<String, Value> {
        let mut value = self
            .document
            .as_ref()
            .map(Document::value)
            .unwrap_or_default();
        for over in &self.overrides {
            over.apply(&mut value);
        }
        value
    }

    /// Adds to a message where the wrong thing was said.
    fn locate(&self, mut wrong: Wrong) -> Wrong {
        let path = wrong.path.as_str();
        let variable = self
            .overrides
            .iter()
            .filter_map(|over| Some((over.covers(path)?, over)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, over)| over);
        let line = self
            .document
            .as_ref()
            .and_then(|document| Some((&document.file, document.line(path)?)));
        let beside = || self.overrides.iter().find(|over| over.beside(path));
        let place = match (variable, line) {
            (Some(over), _) => format!(" (environment variable `{}`)", over.variable),
            (None, Some((file, line))) => format!(" (`{file}`, line {line})"),
            (None, None) => match (beside(), &self.document) {
                (Some(over), _) => format!(" (environment variable `{}`)", over.variable),
                (None, Some(document)) => format!(" (`{}`)", document.file),
                (None, None) => String::new(),
            },
        };
        wrong.msg.push_str(&place);
        wrong
    }
}

/// From what was given to settings, complete and checked.
fn resolve(
    mut given: Map<String, Value>,
    schema: &Value,
    caller: &Caller,
) -> Result<Settings, Wrong> {
    fill(&mut given, caller);
    let settings: Settings = input::read(Value::Object(given), "")?;
    // Written out again, the value holds every default, so that these are completed in the same way.
    let mut value = serde_json::to_value(&settings).map_err(|error| internal(&error))?;
    let bases = Bases::of(&settings, caller)?;
    bases.complete(&mut value, schema, None, "")?;
    let settings: Settings = serde_json::from_value(value).map_err(|error| internal(&error))?;
    settings.check()?;
    Ok(settings)
}

fn internal(error: &serde_json::Error) -> Wrong {
    Wrong {
        path: String::new(),
        msg: format!("settings: {error}"),
        hint: None,
    }
}

/// The defaults that depend on the caller or on other settings.
fn fill(given: &mut Map<String, Value>, caller: &Caller) {
    let home = |set: &Option<Utf8PathBuf>, usual: &str| {
        set.clone().unwrap_or_else(|| caller.home.join(usual))
    };
    let data = home(&caller.data_home, ".local/share");
    let config = home(&caller.config_home, ".config");
    let mut default = |key: &str, value: Value| {
        given.entry(key).or_insert(value);
    };
    default("prefix", json!(data.join("pgsocle")));
    let run = caller
        .runtime_dir
        .as_deref()
        .unwrap_or(Utf8Path::new("/tmp"));
    default("run_prefix", json!(run.join("pgsocle")));
    default("sysuser", json!([caller.user, caller.group]));

    if let Some(Value::Object(systemd)) = given.get_mut("systemd") {
        let user = systemd.get("user") != Some(&Value::Bool(false));
        let (units, rules) = if user {
            (data.join("systemd/user"), config.join("user-tmpfiles.d"))
        } else {
            ("/etc/systemd/system".into(), "/etc/tmpfiles.d".into())
        };
        systemd.entry("unit_path").or_insert(json!(units));
        systemd.entry("tmpfilesd_conf_path").or_insert(json!(rules));
        for manager in ["service_manager", "scheduler", "tmpfiles_manager"] {
            given.entry(manager).or_insert(json!("systemd"));
        }
    }
}

/// What relative paths are completed with.
struct Bases<'c> {
    home: &'c Utf8Path,
    prefix: Utf8PathBuf,
    run_prefix: Utf8PathBuf,
}

impl<'c> Bases<'c> {
    fn of(settings: &Settings, caller: &'c Caller) -> Result<Self, Wrong> {
        let mut bases = Self {
            home: &caller.home,
            prefix: Utf8PathBuf::new(),
            run_prefix: Utf8PathBuf::new(),
        };
        let prefix = bases.absolute(settings.prefix.as_str(), None, "prefix")?;
        let run_prefix = bases.absolute(settings.run_prefix.as_str(), None, "run_prefix")?;
        bases.prefix = prefix.into();
        bases.run_prefix = run_prefix.into();
        Ok(bases)
    }

    /// Completes the paths in a value and checks its templates, as the schema says.
    fn complete(
        &self,
        value: &mut Value,
        schema: &Value,
        allowed: Option<&Value>,
        place: &str,
    ) -> Result<(), Wrong> {
        let allowed = schema.get(VARIABLES).or(allowed);
        for schema in schema::alternatives(schema) {
            if !schema::fits(schema, value) {
                continue;
            }
            match value {
                Value::Object(mapping) => {
                    for (key, value) in mapping {
                        if let Some(property) =
                            schema.get("properties").and_then(|all| all.get(key))
                        {
                            let dot = if place.is_empty() { "" } else { "." };
                            self.complete(value, property, allowed, &format!("{place}{dot}{key}"))?;
                        }
                    }
                }
                Value::Array(items) => {
                    if let Some(item) = schema.get("items") {
                        for (index, value) in items.iter_mut().enumerate() {
                            self.complete(value, item, allowed, &format!("{place}[{index}]"))?;
                        }
                    }
                }
                Value::String(text) => {
                    let is_path = schema.get("format").is_some_and(|format| format == "path");
                    if is_path || allowed.is_some() {
                        check_variables(text, allowed, place)?;
                    }
                    if is_path {
                        let base = schema.get(RELATIVE_TO).and_then(Value::as_str);
                        *text = self.absolute(text, base, place)?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        Ok(())
    }

    fn absolute(&self, text: &str, base: Option<&str>, place: &str) -> Result<String, Wrong> {
        let wrong = |msg: String| Wrong {
            path: place.to_owned(),
            msg,
            hint: Some(
                "give an absolute path; `~/` stands for the home of the system user".to_owned(),
            ),
        };
        if text.is_empty() || text.contains(['\0', '\n', '\r']) {
            return Err(wrong(format!(
                "wrong value of `{place}`: no path in {text:?}"
            )));
        }
        let path = if text == "~" {
            self.home.to_owned()
        } else if let Some(rest) = text.strip_prefix("~/") {
            self.home.join(rest)
        } else if text.starts_with('/') {
            text.into()
        } else if let Some(base) = base {
            let values = [
                ("prefix", self.prefix.as_str()),
                ("run_prefix", self.run_prefix.as_str()),
            ];
            let base =
                expand(base, &values).map_err(|error| wrong(format!("`{place}`: {error}")))?;
            Utf8Path::new(&base).join(text)
        } else {
            return Err(wrong(format!(
                "wrong value of `{place}`: `{text}` is not an absolute path"
            )));
        };
        // One spelling of a path: no doubled, no last slash.
        Ok(path.components().collect::<Utf8PathBuf>().into_string())
    }
}

/// A template may hold the variables of its setting; other text is left alone.
fn check_variables(text: &str, allowed: Option<&Value>, place: &str) -> Result<(), Wrong> {
    let allowed: Vec<&str> = allowed
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let used = variables(text).map_err(|msg| Wrong {
        path: place.to_owned(),
        msg: format!("wrong value of `{place}`: {msg}"),
        hint: Some(BRACES.to_owned()),
    })?;
    for name in used {
        if !allowed.contains(&name) {
            return Err(Wrong {
                path: place.to_owned(),
                msg: format!("unknown variable `{{{name}}}` in `{place}`"),
                hint: nearest::hint(name, allowed)
                    .or_else(|| Some("this setting takes no variables".to_owned())),
            });
        }
    }
    Ok(())
}
