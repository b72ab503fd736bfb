//! `pgsocle site-settings`.

use clap::Args;
use serde_json::Value;

use super::change::Format;
use super::{Call, Ended, show};
use crate::door::exit;
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
