//! Where a server writes its log.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::fault;
use crate::host::Look;
use crate::pg::conf::Conf;
use crate::resource::instance::target::Target;

/// The file that the server of an instance writes to now, or wrote to last.
pub fn current(target: &Target, look: &dyn Look) -> Result<Utf8PathBuf> {
    let paths = &target.paths;
    // The collector keeps it up to date (documentation, 20.8.1), and leaves it there when it ends.
    if let Some(content) = look.read(&paths.datadir.join("current_logfiles"))? {
        for path in named(&String::from_utf8_lossy(&content)) {
            let path = paths.datadir.join(path);
            if look.stat(&path)?.is_some() {
                return Ok(path);
            }
        }
    }
    let start = target.start_log();
    let exists = look.stat(&start)?.is_some();
    // Without a collector the server goes on where it began.
    if exists && target.running(look)?.is_some() {
        return Ok(start);
    }
    if let Some(newest) = newest(target, look)? {
        return Ok(newest);
    }
    if exists {
        return Ok(start);
    }
    Err(fault!(
        NotFound,
        "instance `{paths}` has no log file";
        "its settings `log_destination`, `logging_collector` and `log_directory` say where its messages go; what its unit says is shown by `journalctl`"
    ))
}

/// The files in `current_logfiles`, in its order: the plain one is the first.
fn named(content: &str) -> impl Iterator<Item = &str> {
    content
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, path)| path)
}

/// The file written last of those whose names are as the configuration has them.
fn newest(target: &Target, look: &dyn Look) -> Result<Option<Utf8PathBuf>> {
    let paths = &target.paths;
    let read = |path: &Utf8Path| Conf::parse(&look.read(path)?.unwrap_or_default());
    let auto = read(&paths.datadir.join("postgresql.auto.conf"))?;
    let conf = read(&paths.config_file)?;
    let setting = |name: &str, default: &str| {
        let value = auto.get(name).or_else(|| conf.get(name));
        value.unwrap_or_else(|| default.to_owned())
    };
    let directory = paths.datadir.join(setting("log_directory", "log"));
    let pattern = setting("log_filename", "postgresql-%Y-%m-%d_%H%M%S.log");
    let mut found = None;
    for name in look.list(&directory)?.unwrap_or_default() {
        if matches(&pattern, &name)
            && let Some(stat) = look.stat(&directory.join(&name))?
        {
            found = found.max(Some((stat.modified, directory.join(name))));
        }
    }
    Ok(found.map(|(_, path)| path))
}

/// Whether a name may have come of a `log_filename`. Files of other formats have another ending (`logfile_getname` in
/// syslogger.c).
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, endings) = match pattern.strip_suffix(".log") {
        Some(pattern) => (pattern, [".log", ".csv", ".json"]),
        None => (pattern, ["", ".csv", ".json"]),
    };
    endings
        .iter()
        .filter_map(|ending| name.strip_suffix(ending))
        .any(|name| fits(pattern, name))
}

/// An escape of `strftime` stands for anything but nothing, `%%` for a percent sign.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((text, rest)) = pattern.split_once('%') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(text) else {
        return false;
    };
    let mut escape = rest.chars();
    if escape.next() == Some('%') {
        return name
            .strip_prefix('%')
            .is_some_and(|name| fits(escape.as_str(), name));
    }
    let rest = escape.as_str();
    name.char_indices()
        .skip(1)
        .map(|(at, _)| at)
        .chain([name.len()])
        .any(|at| at > 0 && fits(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    #[test]
    fn names_of_log_files() {
        for (pattern, name, fits) in [
            (
                "15-main-%Y-%m-%d_%H%M%S.log",
                "15-main-2026-11-27_101112.log",
                true,
            ),
            (
                "15-main-%Y-%m-%d_%H%M%S.log",
                "15-main-2026-11-27_101112.csv",
                true,
            ),
            (
                "15-main-%Y-%m-%d_%H%M%S.log",
                "15-maine-2026-11-27_101112.log",
                false,
            ),
            ("15-main-%Y-%m-%d_%H%M%S.log", "15-main-start.log", false),
            ("pg.log", "pg.log", true),
            ("pg.log", "pg.json", true),
            ("pg", "pg.csv", true),
            ("pg-%a", "pg-Fri", true),
            ("pg-%a", "pg-", false),
            ("100%%-%d", "100%-27", true),
            ("100%%-%d", "100-27", false),
            ("é%d", "é1", true),
            ("%", "", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn which_file_it_is() {
        let data = "/p/srv/pgsql/15/main/data";
        let conf = "log_directory = '/l'\nlog_filename = 'x-%d.log'\n";
        let files = [
            (format!("{data}/postgresql.conf"), conf),
            (
                format!("{data}/current_logfiles"),
                "stderr log/a.log\ncsvlog log/a.csv\n",
            ),
            (format!("{data}/log/a.log"), ""),
            (format!("{data}/log/a.csv"), ""),
            ("/l/x-01.log".to_owned(), ""),
            ("/l/y-02.log".to_owned(), ""),
            ("/p/log/postgresql/15-main-start.log".to_owned(), ""),
        ];
        for (gone, found) in [
            ("", Some("/p/srv/pgsql/15/main/data/log/a.log")),
            ("a.log", Some("/p/srv/pgsql/15/main/data/log/a.csv")),
            ("current_logfiles", Some("/l/x-01.log")),
            (
                "current_logfiles x-01.log",
                Some("/p/log/postgresql/15-main-start.log"),
            ),
            ("current_logfiles x-01.log 15-main-start.log", None),
        ] {
            let mut machine = Machine::with_systemd(false);
            let is_gone = |path: &str| {
                gone.split(' ')
                    .any(|gone| path.ends_with(&format!("/{gone}")))
            };
            for (path, content) in files.iter().filter(|(path, _)| !is_gone(path)) {
                machine.put(path, content);
            }
            let site = machine.site("prefix: /p\nrun_prefix: /r\n");
            let target =
                Target::new(&site.settings, &machine, "15".parse().unwrap(), "main").unwrap();
            let path = current(&target, &machine).ok();
            assert_eq!(path.as_deref(), found.map(Utf8Path::new), "without {gone}");
        }
    }
}
