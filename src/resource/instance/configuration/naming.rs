//! Parameters that name the instance. A data directory that was copied, or adopted under another name, still says the name
//! that it had: as the site's template has it, so it was never the operator's choice (docs/decisions/0016-names-that-follow.md).

use anyhow::Result;

use crate::host::Look;
use crate::pg::conf::Conf;
use crate::pg::version::Major;
use crate::resource::instance::lookup::{self, Identity};
use crate::resource::instance::target::Target;
use crate::resource::instance::templates::Templates;
use crate::settings::Settings;

/// What follows the instance where the template of the site names it.
const FOLLOW: &[&str] = &["cluster_name", "log_filename", "syslog_ident"];

/// A template that any name fits.
const NAME_ALONE: &str = "{name}";

/// Under which other names a value may have come to be.
#[derive(Debug, Default)]
struct Known {
    /// The other instances of the host.
    others: Vec<Identity>,
    /// Names of directories in which an adopted cluster lies.
    former: Vec<String>,
    /// Others may know it by its `cluster_name` (`synchronous_standby_names`): that stays.
    standby: bool,
}

/// Parameters that still name another instance, with the values that name this one.
pub(super) fn following(
    look: &dyn Look,
    site: &Settings,
    target: &Target,
    templates: &Templates,
    conf: &Conf,
) -> Result<Vec<(String, String)>> {
    let paths = &target.paths;
    let own = (paths.version, paths.name.clone());
    // Nearly always all is as it should be, and nobody else needs to be looked at.
    if named(templates, conf).all(|(_, template, value)| value == fill(templates, template, &own)) {
        return Ok(Vec::new());
    }
    let former = target.adopted.iter().flat_map(|adopted| {
        let parts = adopted.data_directory.components();
        parts.map(|part| part.as_str().to_owned())
    });
    let known = Known {
        others: lookup::list(look, site)?,
        former: former.filter(|name| lookup::valid_name(name)).collect(),
        standby: look.stat(&paths.datadir.join("standby.signal"))?.is_some(),
    };
    Ok(follow(templates, conf, &own, &known))
}

/// Parameter, template and value of what names an instance.
fn named<'a>(
    templates: &'a Templates,
    conf: &Conf,
) -> impl Iterator<Item = (&'a str, &'a str, String)> {
    templates
        .naming
        .iter()
        .filter(|(name, _)| FOLLOW.contains(&name.as_str()))
        .filter_map(|(name, template)| Some((name.as_str(), template.as_str(), conf.get(name)?)))
}

fn fill(templates: &Templates, template: &str, (version, name): &Identity) -> String {
    templates.fill_for(template, *version, name)
}

fn follow(
    templates: &Templates,
    conf: &Conf,
    own: &Identity,
    known: &Known,
) -> Vec<(String, String)> {
    let all: Vec<_> = named(templates, conf).collect();
    let said = all
        .iter()
        .filter(|(_, template, _)| *template == NAME_ALONE)
        .map(|(_, _, value)| value);
    let names = known.former.iter().chain(said);
    let majors = || Major::known().chain([own.0]);
    let guesses = names.flat_map(|name| majors().map(move |version| (version, name.clone())));
    let candidates = known.others.iter().cloned().chain(guesses);
    let mut found: Vec<(String, String)> = Vec::new();
    for candidate in candidates.filter(|candidate| candidate != own) {
        let fits: Vec<_> = all
            .iter()
            .filter(|(_, template, value)| *value == fill(templates, template, &candidate))
            .collect();
        let telling = fits.iter().any(|(_, template, _)| *template != NAME_ALONE);
        let proven = known.former.contains(&candidate.1)
            || telling && (fits.len() > 1 || known.others.contains(&candidate));
        if !proven {
            continue;
        }
        for (name, template, value) in fits {
            let right = fill(templates, template, own);
            let stays = known.standby && *name == "cluster_name";
            let is_new = !found.iter().any(|(known, _)| known == name);
            if *value != right && !stays && is_new {
                found.push(((*name).to_owned(), right));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    const OWN: &str = "15-main-%Y-%m-%d_%H%M%S.log";
    const OLD: &str = "15-old-%Y-%m-%d_%H%M%S.log";

    /// What follows instance `15/main`, as `name=value` in words.
    fn told(conf: &[(&str, &str)], known: &Known) -> String {
        let machine = Machine::new(true, &[]);
        let site = machine.site("prefix: /p\nrun_prefix: /r\n").settings;
        let own = (Major::new(15), "main".to_owned());
        let paths = site.paths(own.0, &own.1);
        let templates = Templates::observe(&machine, &site, None, &paths, None).unwrap();
        let mut file = Conf::default();
        for (name, value) in conf {
            file.set(name, value);
        }
        let all = follow(&templates, &file, &own, known);
        let all = all.iter().map(|(name, value)| format!("{name}={value}"));
        all.collect::<Vec<_>>().join(" ")
    }

    fn others(others: &[(u16, &str)]) -> Known {
        let identity = |(version, name): &(u16, &str)| (Major::new(*version), (*name).to_owned());
        Known {
            others: others.iter().map(identity).collect(),
            ..Known::default()
        }
    }

    #[test]
    fn what_names_another_instance() {
        let (cluster, log) = ("cluster_name", "log_filename");
        let both = format!("{cluster}=main {log}={OWN}");
        let log_only = format!("{log}={OWN}");
        for (conf, others, expected) in [
            // Copied from an instance of this host, or of another: both values agree.
            (
                vec![(cluster, "old"), (log, OLD)],
                vec![(15, "old")],
                both.as_str(),
            ),
            (vec![(cluster, "old"), (log, OLD)], vec![], &both),
            // Two servers would write to the same file.
            (vec![(log, OLD)], vec![(15, "old")], &log_only),
            (
                vec![(cluster, "mine"), (log, OLD)],
                vec![(15, "old")],
                &log_only,
            ),
            // From the major before.
            (
                vec![(cluster, "main"), (log, "13-main-%Y-%m-%d_%H%M%S.log")],
                vec![],
                &log_only,
            ),
            // Any value could be a name.
            (vec![(cluster, "old")], vec![(15, "old")], ""),
            // The operator's own.
            (vec![(cluster, "x"), (log, OLD)], vec![], ""),
            (
                vec![(cluster, "old"), (log, "postgresql-15-old-%a.log")],
                vec![(15, "old")],
                "",
            ),
            (vec![(cluster, "15/old")], vec![(15, "old")], ""),
            (vec![(cluster, "main"), (log, OWN)], vec![(15, "old")], ""),
            (vec![], vec![(15, "old")], ""),
        ] {
            assert_eq!(told(&conf, &self::others(&others)), expected, "{conf:?}");
        }
    }

    #[test]
    fn what_an_adopted_cluster_was_called() {
        let known = Known {
            former: ["var", "old"].map(str::to_owned).into(),
            ..Known::default()
        };
        let cluster = |name| told(&[("cluster_name", name)], &known);
        assert_eq!(cluster("old"), "cluster_name=main");
        assert_eq!(cluster("new"), "");
        assert_eq!(
            told(&[("log_filename", OLD)], &known),
            format!("log_filename={OWN}")
        );
    }

    #[test]
    fn a_standby_is_known_by_its_name() {
        let known = Known {
            standby: true,
            ..others(&[(15, "old")])
        };
        assert_eq!(
            told(&[("cluster_name", "old"), ("log_filename", OLD)], &known),
            format!("log_filename={OWN}")
        );
    }
}
