//! What the commands on roles and on databases have in common: objects that live in an instance.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};

use super::change::{Format, Run};
use super::manifest::Manifest;
use super::{Call, Ended, show};
use crate::door::{Session, exit};
use crate::facts;
use crate::host::Server;
use crate::manifest::InstanceRef;
use crate::resource::expect::{self, Wanted, missing};
use crate::resource::instance::lookup;
use crate::resource::instance::target::Target;
use crate::resource::{self, Job};

/// Which instance the objects live in.
#[derive(Args)]
pub struct Within {
    /// The instance; may be left out when there is only one.
    #[arg(short = 'i', long, global = true, value_name = "[VERSION/]NAME", value_parser = super::instance::reference)]
    instance: Option<InstanceRef>,
}

/// The title of a column, and what stands in it for an object.
pub type Column = (&'static str, fn(&Value) -> String);

impl Within {
    /// The instance that is meant, in full; one that is not there is wrong usage.
    pub fn resolve(
        &self,
        session: &Session,
        stated: Option<&InstanceRef>,
    ) -> Result<String, Ended> {
        let reference = self.instance.as_ref().or(stated);
        lookup::find(&session.local, &session.site.settings, reference)
            .map(|identity| lookup::shown(&identity))
            .map_err(Ended::usage)
    }

    /// The same, with what follows from the site settings.
    pub fn target(&self, session: &Session) -> Result<Target, Ended> {
        facts::target(&session.site, &session.local, self.instance.as_ref()).map_err(Ended::usage)
    }

    /// The instance that is meant, as a reference in full.
    pub fn reference(&self, session: &Session) -> Result<InstanceRef, Ended> {
        Ok(InstanceRef::parse(&self.resolve(session, None)?))
    }

    /// The run on one object.
    fn job(
        &self,
        kind: &str,
        wanted: Wanted,
        mut object: Map<String, Value>,
        session: &Session,
    ) -> Result<Job, Ended> {
        let stated = object.get("instance").and_then(Value::as_str);
        let stated = stated.map(InstanceRef::parse);
        let instance = self.resolve(session, stated.as_ref())?;
        object.insert("instance".into(), instance.into());
        let Some(kind) = resource::kind(kind) else {
            return Err(anyhow::anyhow!("no kind {kind}").into());
        };
        let (site, look) = (&session.site, &session.local);
        Ok(expect::job(
            kind,
            wanted,
            Value::Object(object),
            site,
            look,
        )?)
    }

    /// `create` and `alter`.
    pub fn converge(
        &self,
        call: &Call,
        kind: &str,
        wanted: Wanted,
        object: Map<String, Value>,
        run: &Run,
    ) -> Result<u8, Ended> {
        let session = run.open(call)?;
        let job = self.job(kind, wanted, object, &session)?;
        run.carry_out(&session, job)
    }

    pub fn apply(
        &self,
        call: &Call,
        kind: &str,
        manifest: &Manifest,
        run: &Run,
    ) -> Result<u8, Ended> {
        let object = manifest.read()?;
        let session = run.open(call)?;
        if let (Some(asked), Some(stated)) = (&self.instance, object["instance"].as_str())
            && asked.to_string() != stated
        {
            Err(contradiction(manifest.name(), stated, asked))?;
        }
        let Value::Object(object) = object else {
            return Ok(exit::USAGE);
        };
        let job = self.job(kind, Wanted::Either, object, &session);
        let job = job.map_err(|ended| ended.context(manifest.name()))?;
        run.carry_out(&session, job)
    }

    /// Drops several; `options` belong to each.
    pub fn drop(
        &self,
        call: &Call,
        kind: &str,
        dropped: &[String],
        options: &Map<String, Value>,
        run: &Run,
    ) -> Result<u8, Ended> {
        let session = run.open(call)?;
        let mut jobs = Vec::new();
        for name in dropped {
            let mut object = options.clone();
            object.insert("name".into(), name.as_str().into());
            object.insert("state".into(), "absent".into());
            jobs.push(Ok(self.job(kind, Wanted::Existing, object, &session)?));
        }
        run.carry_out_all(&session, jobs, dropped.len() > 1)
    }

    fn server(&self, session: &Session) -> Result<(String, Server), Ended> {
        let reference = self.reference(session)?;
        let instance = reference.to_string();
        let server = facts::server(&session.site, &session.local, Some(&reference))?;
        Ok((instance, server))
    }

    pub fn get(&self, call: &Call, kind: &str, name: &str, format: Format) -> Result<u8, Ended> {
        let session = call.look()?;
        let (instance, server) = self.server(&session)?;
        let view = expect::view(kind, &session.local, &server, name)?;
        let Some(Value::Object(view)) = view else {
            let all = expect::names(&expect::views(kind, &session.local, &server)?);
            let error = missing(kind, name, &all);
            return Err(error.context(format!("instance {instance}")).into());
        };
        let text = show::object(&view);
        format.show(&Value::Object(view), || text)?;
        Ok(exit::DONE)
    }

    /// All objects that `keep` keeps, as a table of `columns`.
    pub fn list(
        &self,
        call: &Call,
        kind: &str,
        format: Format,
        columns: &[Column],
        keep: impl Fn(&str) -> bool,
    ) -> Result<u8, Ended> {
        let session = call.look()?;
        let (_, server) = self.server(&session)?;
        let mut views = expect::views(kind, &session.local, &server)?;
        views.retain(|view| view["name"].as_str().is_some_and(&keep));
        let text = || {
            let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
            let rows: Vec<Vec<String>> = views
                .iter()
                .map(|view| columns.iter().map(|(_, cell)| cell(view)).collect())
                .collect();
            show::table(&titles, &rows)
        };
        format.show(&Value::Array(views.clone()), text)?;
        Ok(exit::DONE)
    }
}

fn contradiction(manifest: &str, stated: &str, asked: &InstanceRef) -> anyhow::Error {
    crate::fault!(
        Input,
        "`{manifest}` is for instance `{stated}`, the command line says `{asked}`"
    )
}
