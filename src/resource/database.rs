//! Databases (placeholder).
pub mod facts {
    use crate::host::{Look, Server};
    pub fn list(
        _: &dyn Look,
        _: &Server,
        _: Option<&str>,
    ) -> anyhow::Result<Vec<serde_json::Value>> {
        Ok(vec![])
    }
}
use crate::{host::Look, manifest::DatabaseSpec, plan::Plan, settings::InstancePaths, stage::*};
pub struct Databases {
    pub view: bool,
}
impl Databases {
    pub fn new(_: Vec<DatabaseSpec>, _: InstancePaths) -> anyhow::Result<Self> {
        Ok(Self { view: false })
    }
}
impl Stage for Databases {
    type Seen = ();
    fn name(&self) -> String {
        "databases".into()
    }
    fn observe(&self, _: &dyn Look, _: &World) -> anyhow::Result<()> {
        Ok(())
    }
    fn plan(&self, _: &()) -> anyhow::Result<Plan> {
        Ok(Plan::default())
    }
}
