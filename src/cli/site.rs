//! `pgsocle site-settings` and `pgsocle site-configure`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::change::{Format, Run};
use super::{Call, Ended, incomplete, show};
use crate::door::exit;
use crate::resource::{self, site};
use crate::settings;

#[derive(Args)]
pub struct Settings {
    /// Only the defaults.
    #[arg(long, conflicts_with = "no_defaults")]
    defaults: bool,
    /// Only what the site has set, in its file and in the environment.
    #[arg(long)]
    no_defaults: bool,
    /// The JSON schema of the settings file.
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    format: Format,
}

impl Settings {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        if self.schema {
            show::json(&settings::Settings::schema())?;
            return Ok(exit::DONE);
        }
        // As in check mode: on a bare host the system user may not exist yet.
        let session = call.open(true)?;
        let caller = crate::host::Look::caller(&session.local);
        let shown = if self.defaults {
            settings::Settings::defaults(caller)?.effective()?
        } else if self.no_defaults {
            let source = session.source.as_ref();
            let source = source.map(|(file, text)| (file.as_path(), text.as_str()));
            settings::Settings::only_set(source, &call.process.environment)?
        } else {
            session.site.settings.effective()?
        };
        let text = yaml(&shown)?;
        self.format.show(&shown, || text)?;
        Ok(exit::DONE)
    }
}

fn yaml(value: &Value) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(value)?;
    Ok(text.trim_end().to_owned() + "\n")
}

#[derive(Args)]
pub struct Configure {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make what is missing.
    Install {
        /// Overwrite files whose content is not what the site settings give.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        run: Run,
    },
    /// Remove everything but logs; refused while instances exist.
    Uninstall {
        #[command(flatten)]
        run: Run,
    },
    /// Say what is missing or differs; exit code 1 when something does.
    Check {
        #[command(flatten)]
        format: Format,
    },
    /// The paths that are managed, whether they exist or not.
    List {
        #[command(flatten)]
        format: Format,
    },
}

impl Configure {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        match &self.verb {
            None => Ok(incomplete(&["site-configure"])),
            Some(Verb::Install { force, run }) => {
                converge(call, &json!({ "state": "present", "force": force }), run)
            }
            Some(Verb::Uninstall { run }) => converge(call, &json!({ "state": "absent" }), run),
            Some(Verb::Check { format }) => {
                let session = call.open(true)?;
                let findings = site::check(&session.local, &session.site)?;
                let text = || show::lines(findings.iter().map(ToString::to_string));
                format.show(&json!(findings), text)?;
                Ok(if findings.is_empty() {
                    exit::DONE
                } else {
                    exit::FAULT
                })
            }
            Some(Verb::List { format }) => {
                let session = call.open(true)?;
                let items = site::items(&session.local, &session.site)?;
                let paths: Vec<String> = items
                    .into_iter()
                    .map(|item| item.path.into_string())
                    .collect();
                format.show(&json!(paths), || show::lines(paths.iter().cloned()))?;
                Ok(exit::DONE)
            }
        }
    }
}

fn converge(call: &Call, object: &Value, run: &Run) -> Result<u8, Ended> {
    let session = run.open(call)?;
    let Some(kind) = resource::kind("site") else {
        return Err(anyhow::anyhow!("no kind site").into());
    };
    let job = (kind.job)(object.clone(), &session.site, &session.local)?;
    run.carry_out(&session, job)
}
