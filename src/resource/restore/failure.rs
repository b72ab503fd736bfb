//! Why a restore failed, in the words of who has to go on: what programs and the server say of it is theirs (`xlogrecovery.c`).

use anyhow::Error;

use crate::backup::Trouble;
use crate::backup::recovery::{Recovery, Target};
use crate::fault;

/// What was there before is there again, or nothing was ever touched.
const UNTOUCHED: &str = "what was there before is as it was";

/// The same failure with what it means, where that is known.
pub fn explained(
    error: Error,
    object: &str,
    recovery: &Recovery,
    trouble: impl Fn(&str) -> Option<Trouble>,
) -> Error {
    let said = format!("{error:#}");
    let target = &recovery.target;
    let timeline = recovery.timeline.as_deref().unwrap_or("latest");
    if said.contains("recovery ended before configured recovery target was reached") {
        let remedy = match target {
            Target::Xid(_) | Target::Name(_) => {
                "it may lie before this backup: choose an older `label`; on a timeline that a restore has left: give \
                 `target_timeline`; or behind the end of the archived WAL"
            }
            _ => {
                "choose a target that the archived WAL reaches; one of a time that a restore has undone is on the timeline \
                 before it: give `target_timeline`"
            }
        };
        return fault!(
            Command,
            "{object}: the recovery along timeline `{timeline}` ended before its target, {target}";
            "{remedy}; {UNTOUCHED}"
        );
    }
    let fatal = said.lines().find_map(|line| line.split_once("FATAL:"));
    let fatal = fatal.map_or("", |(_, words)| words.trim());
    let astray = [
        "is not a child of this server's history",
        "could not locate required checkpoint record",
    ];
    if astray.iter().any(|words| fatal.contains(words)) {
        return fault!(
            Command,
            "{object}: {fatal}";
            "the WAL of the backup is not on the timeline `{timeline}`, or not in the archive: where a restore has undone its time, choose \
             an older `label`, or `target_timeline: current`; {UNTOUCHED}"
        );
    }
    if fatal.starts_with("recovery target timeline") {
        return fault!(Command, "{object}: {fatal}"; "choose another `target_timeline`; {UNTOUCHED}");
    }
    if trouble(&said) == Some(Trouble::Damaged) {
        return fault!(
            Unavailable,
            "{said}";
            "a file in the repository is not as it was written: restore an older backup (`label`; `pgsocle instance backups` lists \
             them), and look after the storage; {UNTOUCHED}"
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::resource::restore::RestoreSpec;

    #[test]
    fn what_words_mean() {
        let log = |fatal: &str| {
            fault!(
                Command,
                "`pg_ctl` failed: server log:\nLOG:  x\nt FATAL:  {fatal}\nLOG:  y"
            )
        };
        let told = |error: Error, name: Option<&str>| {
            let spec = RestoreSpec {
                target_name: name.map(str::to_owned),
                target_time: name.is_none().then(|| "2026-11-27 20:33:27Z".to_owned()),
                ..RestoreSpec::default()
            };
            let trouble = |said: &str| said.contains("checksum").then_some(Trouble::Damaged);
            let recovery = spec.recovery().unwrap();
            let error = explained(error, "restore of instance 17/main", &recovery, trouble);
            let hint = Fault::of(&error).unwrap().hint.clone().unwrap_or_default();
            format!("{error:#}\n{hint}\n")
        };
        let ended = "recovery ended before configured recovery target was reached";
        let said = [
            told(log(ended), Some("rp")),
            told(log(ended), None),
            told(
                log("requested timeline 2 is not a child of this server's history"),
                None,
            ),
            told(log("recovery target timeline 77 does not exist"), None),
            told(
                fault!(Command, "checksum mismatch for file \"base/5/1259\""),
                None,
            ),
            told(fault!(Conflict, "another"; "remedy"), None),
        ];
        insta::assert_snapshot!(said.concat(), @r#"
        restore of instance 17/main: the recovery along timeline `latest` ended before its target, restore point `rp`
        it may lie before this backup: choose an older `label`; on a timeline that a restore has left: give `target_timeline`; or behind the end of the archived WAL; what was there before is as it was
        restore of instance 17/main: the recovery along timeline `latest` ended before its target, 2026-11-27T20:33:27Z
        choose a target that the archived WAL reaches; one of a time that a restore has undone is on the timeline before it: give `target_timeline`; what was there before is as it was
        restore of instance 17/main: requested timeline 2 is not a child of this server's history
        the WAL of the backup is not on the timeline `latest`, or not in the archive: where a restore has undone its time, choose an older `label`, or `target_timeline: current`; what was there before is as it was
        restore of instance 17/main: recovery target timeline 77 does not exist
        choose another `target_timeline`; what was there before is as it was
        checksum mismatch for file "base/5/1259"
        a file in the repository is not as it was written: restore an older backup (`label`; `pgsocle instance backups` lists them), and look after the storage; what was there before is as it was
        another
        remedy
        "#);
    }
}
