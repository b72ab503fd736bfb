//! The files of a new cluster, which then gets its name.

use anyhow::Result;

use super::{Configuration, New, Seen};
use crate::pg::conf::{self, Conf};
use crate::plan::{Action, Change, Content, Diff, Impact, Scope, Step};
use crate::secret::MASK;

impl Configuration {
    /// A new cluster gets its files, and then its name.
    pub(super) fn first(&self, seen: &Seen, new: &New, conf: &Conf) -> Result<Change> {
        let paths = &self.target.paths;
        let mode = if self.templates.group_access {
            0o640
        } else {
            0o600
        };
        let hba = self.templates.hba(paths)?;
        let ident = self.templates.ident()?;
        let parameters: String = self
            .wanted(seen)
            .iter()
            .filter_map(|(name, value)| {
                let shown = value
                    .as_ref()
                    .map(|value| if conf::is_secret(name) { MASK } else { value });
                shown.map(|value| format!("{name} = {value}\n"))
            })
            .collect();
        let after = format!("# postgresql.conf\n{parameters}# pg_hba.conf\n{hba}");
        let file = |name: &str, content: Vec<u8>| {
            Step::write(&new.data.join(name), Content::Bytes(content), mode)
        };
        let mut steps = vec![
            file("postgresql.conf", conf.render()),
            file("pg_hba.conf", hba.into_bytes()),
            file("pg_ident.conf", ident.into_bytes()),
        ];
        if let Some(psqlrc) = self.templates.psqlrc(paths)? {
            let name = paths
                .psqlrc
                .strip_prefix(&paths.datadir)
                .map_or(paths.psqlrc.clone(), |name| new.data.join(name));
            steps.push(Step::write(
                &name,
                Content::Bytes(psqlrc.into_bytes()),
                0o600,
            ));
        }
        if let Some(passfile) = &paths.passfile
            && let Some(parent) = passfile.parent()
        {
            steps.push(Step::make_dir(parent, 0o700));
        }
        if let Some(logdir) = &paths.logdir {
            steps.push(Step::make_dir(logdir, 0o740));
        }
        if !self.target.wal_inside() {
            steps.push(Step::Symlink {
                path: new.data.join("pg_wal"),
                target: paths.waldir.clone(),
            });
            steps.push(self.target.settle(&paths.waldir));
        }
        steps.push(self.target.settle(&paths.datadir));
        let (bindir, boot) = (&self.target.bindir, self.target.boot == Some(true));
        steps.extend(self.target.manager.register(bindir, paths, boot));
        let mut undo = self.target.manager.unregister();
        undo.push(self.target.clear(&paths.datadir));
        if !self.target.wal_inside() {
            undo.push(self.target.clear(&paths.waldir));
        }
        undo.extend(self.target.empty_parents());
        Ok(Change::new(
            Action::Create,
            format!("configuration {paths}"),
            format!("write the configuration of instance `{paths}`"),
            Diff::new(paths.datadir.as_str(), "", after),
            Impact::None,
            steps,
        )
        .undo(Scope::Creation, undo))
    }
}
