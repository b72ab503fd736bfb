//! Parameters of an instance: `pgconf`, as a module and on the command line.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use pgsocle::pg::guc::{self, Guc};
use pgsocle::pg::version::Major as Version;
use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

impl Site {
    /// `pgsocle pgconf -i main …`
    fn pgconf(&self, args: &[&str]) -> crate::support::bin::Run {
        self.pgsocle(["pgconf", "-i", "main"].iter().chain(args))
    }

    /// Standard output of it, paths of the site as `SITE`.
    fn pgconf_says(&self, args: &[&str]) -> String {
        self.redact(&self.pgconf(args).go().stdout)
    }
}

fn summaries(reply: &Value) -> &Value {
    &reply["changes"]
}

#[test]
fn parameters_of_a_running_instance_and_of_a_stopped_one() {
    let site = with_main(&json!({ "settings": { "shared_preload_libraries": "auto_explain" } }));
    let number = site.major().number;
    let reload = format!("reload instance `{number}/main`");
    let params = json!({ "instance": "main", "settings": {
        "work_mem": "8MB", "auto_explain.log_min_duration": "2s", "log_statement": "ddl", "bgwriter_delay": "200ms" } });
    let reply = site.converges("pgconf", &params);
    assert_eq!(
        *summaries(&reply),
        json!([
            "set `auto_explain.log_min_duration`, `bgwriter_delay`, `log_statement`, `work_mem` in postgresql.conf",
            reload
        ])
    );
    assert_eq!(
        reply["pgconf"],
        json!({
            "auto_explain.log_min_duration": { "before": null, "after": "2s" },
            "bgwriter_delay": { "before": null, "after": "200ms" },
            "log_statement": { "before": null, "after": "ddl" },
            "work_mem": { "before": null, "after": "8MB" },
        })
    );
    assert_eq!(site.ask("SHOW auto_explain.log_min_duration"), "2s");
    // The same in other words; of a library too.
    site.changes_nothing(
        "pgconf",
        &json!({ "instance": "main", "settings": {
            "work_mem": "8192kB", "auto_explain.log_min_duration": 2000, "log_statement": "DDL", "bgwriter_delay": "0.2s" } }),
    );
    // A restart where it is allowed.
    let params =
        json!({ "instance": "main", "settings": { "max_connections": 50, "log_statement": null } });
    let reply = site.converges("pgconf", &params);
    assert_eq!(reply["pending_restart"], true);
    let mut allowed = params.clone();
    allowed["restart_policy"] = json!("when_required");
    let reply = site.converges("pgconf", &allowed);
    assert_eq!(
        *summaries(&reply),
        json!([format!("restart instance `{number}/main`")])
    );
    assert_eq!(site.ask("SHOW max_connections"), "50");

    // A stopped one stays so.
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    let params =
        json!({ "instance": "main", "settings": { "work_mem": "9MB" }, "settings_purge": true });
    let reply = site.converges("pgconf", &params);
    assert!(!site.is_running());
    assert_eq!(
        *summaries(&reply),
        json!([
            "set `work_mem`, remove `bgwriter_delay`, `shared_preload_libraries`, `auto_explain.log_min_duration` in postgresql.conf"
        ])
    );
    site.refused(
        "pgconf",
        &json!({ "instance": "main", "settings": { "work_mem": "12MB" }, "max_impact": "none" }),
    );
}

#[test]
fn what_is_refused() {
    let site = with_main(&json!({ "settings": { "shared_preload_libraries": "auto_explain" } }));
    let number = site.major().number;
    let start = format!("configuration of instance {number}/main: ");
    let cases = [
        (
            json!({ "wrk_mem": 1 }),
            format!("setting `wrk_mem` is not known to PostgreSQL {number}"),
            "did you mean `work_mem`?",
        ),
        (
            json!({ "timezone": "Mars/Olympus" }),
            format!(
                "PostgreSQL {number} would not start with this configuration: line LINE: invalid value for parameter `TimeZone`: `Mars/Olympus`"
            ),
            "correct what is wanted: nothing was changed",
        ),
        (
            json!({ "work_mem": "4 parsecs" }),
            "setting `work_mem`: invalid value `4 parsecs` for parameter `work_mem`".into(),
            "give a whole number, with a unit out of `B`, `kB`, `MB`, `GB`, `TB` (case matters)",
        ),
        (
            json!({ "port": 70_000 }),
            "setting `port`: value `70000` is outside the valid range of parameter `port`".into(),
            "give a number from 1 to 65535",
        ),
        (
            json!({ "log_statement": "dddl" }),
            "setting `log_statement`: invalid value `dddl` for parameter `log_statement`".into(),
            "did you mean `ddl`?",
        ),
        (
            json!({ "data_directory": "/" }),
            "`data_directory` cannot be changed: it says where the instance is".into(),
            "",
        ),
    ];
    let refused = |state: &str, count: usize| {
        for (settings, msg, hint) in cases.iter().take(count) {
            let params = json!({ "instance": "main", "settings": settings });
            let [said, remedy] = site.refusal("pgconf", &params);
            let line = said
                .split(' ')
                .skip_while(|word| *word != "line")
                .nth(1)
                .unwrap_or_default();
            let said = said
                .replace(&format!("line {line}"), "line LINE:")
                .replace("LINE::", "LINE:");
            assert_eq!(said.trim_start_matches(&start), msg, "{state}");
            assert_eq!(remedy, *hint, "{state}");
        }
    };
    refused("running", cases.len());
    // Which only the running server can know.
    let loaded =
        json!({ "instance": "main", "settings": { "auto_explain.log_min_duration": "soon" } });
    assert!(
        site.refusal("pgconf", &loaded)[0]
            .ends_with("invalid value `soon` for parameter `auto_explain.log_min_duration`")
    );
    // Each of them right, and the two exclude each other: only code of the server's knows.
    let both = json!({ "instance": "main", "settings": { "log_parser_stats": true, "log_statement_stats": true } });
    let said = &site.refusal("pgconf", &both)[0];
    assert!(
        said.contains("invalid value for parameter `log_parser_stats`"),
        "{said}"
    );
    let preset = json!({ "instance": "main", "settings": { "server_version": "19" } });
    assert!(
        site.refusal("pgconf", &preset)[0]
            .ends_with("setting `server_version` cannot be changed: it tells how the cluster or the server was made")
    );
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    refused("stopped", 2);
    assert!(
        site.refusal("pgconf", &preset)[0]
            .ends_with("parameter `server_version` cannot be changed")
    );
    let missing = json!({ "instance": "mian", "settings": { "work_mem": "8MB" } });
    site.ansible_run("pgconf", false, &missing).code(1).go();
    // In check mode an earlier task may make it; the values are checked all the same.
    let reply = site.ansible("pgconf", true, &missing);
    assert_eq!(
        reply["pgconf"]["work_mem"],
        json!({ "before": null, "after": "8MB" })
    );
    for settings in [
        json!({ "work_mem": "much" }),
        json!({ "timezone": "Mars/Olympus" }),
        json!({ "wrk_mem": 1 }),
    ] {
        let params = json!({ "instance": "mian", "settings": settings });
        let reply = site.ansible_run("pgconf", true, &params).any_code().go();
        assert_eq!(reply.code, 2, "{params}: {reply:?}");
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one session at a terminal, told from beginning to end"
)]
fn set_show_explain_and_remove() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let data = format!("SITE/srv/srv/pgsql/{number}/main/data");
    assert_eq!(
        site.pgconf_says(&["set", "work_mem=8MB", "log_min_duration_statement = 1s"]),
        format!(
            "set `log_min_duration_statement`, `work_mem` in postgresql.conf\nreload instance `{number}/main`\n"
        )
    );
    assert_eq!(
        site.pgconf_says(&["set", "work_mem=8192kB"]),
        "nothing to do\n"
    );
    assert_eq!(
        site.pgconf_says(&["show", "work_mem", "jit", "statement_timeout"]),
        "# jit = on\n# statement_timeout = 0\nwork_mem = 8MB\n"
    );
    assert_eq!(
        site.pgconf(&["show", "work_mem", "-o", "json"]).json(),
        json!({ "work_mem": "8MB" })
    );
    let before = site.picture();
    let line = 1 + std::fs::read_to_string(site.datadir().join("postgresql.conf"))
        .unwrap()
        .lines()
        .position(|line| line.starts_with("work_mem"))
        .unwrap();
    let shown = site.pgconf_says(&["set", "work_mem=9MB", "--dry-run", "--diff"]);
    assert!(
        shown.contains("\n-work_mem = 8MB") && shown.contains("\n+work_mem = 9MB"),
        "{shown}"
    );
    before.assert_same(&site.picture(), "a dry run");

    site.ask("ALTER SYSTEM SET work_mem = '5MB'");
    site.ask("ALTER ROLE postgres SET work_mem = '6MB'");
    site.ask("SELECT pg_reload_conf()");
    let auto = 1 + std::fs::read_to_string(site.datadir().join("postgresql.auto.conf"))
        .unwrap()
        .lines()
        .position(|line| line.starts_with("work_mem"))
        .unwrap();
    let warning = format!(
        "warning: `work_mem` = `8MB` (`{data}/postgresql.conf` line {line}) has no effect: `{data}/postgresql.auto.conf` line {auto} says `5MB`\n"
    );
    let output = site.pgconf(&["show", "work_mem"]).go();
    assert_eq!(
        (output.stdout.as_str(), site.redact(&output.stderr)),
        ("work_mem = 5MB\n", warning)
    );
    let explained = |site: &Site| site.pgconf_says(&["explain", "work_mem"]);
    let common = format!(
        "configured       `5MB` ({data}/postgresql.auto.conf line {auto})\n\
         without effect   `8MB` ({data}/postgresql.conf line {line})\n"
    );
    let rest = "takes effect by  reload\ntype             integer\nunit             kB\ndefault          `4MB`\n";
    assert_eq!(
        explained(&site),
        format!(
            "name             work_mem\ndescription      Sets the maximum memory to be used for query workspaces.\n\
             running          `5MB`\n{common}sessions         `6MB` (role `postgres`)\n{rest}"
        )
    );
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    assert_eq!(
        explained(&site),
        format!("name             work_mem\n{common}{rest}")
    );
    let facts = site.ansible(
        "pgconf_info",
        false,
        &json!({ "instance": "main", "names": ["shared_buffers", "max_connections"] }),
    );
    let settings = &facts["settings"];
    assert_eq!(
        (
            &settings[0]["name"],
            &settings[0]["configured"],
            &settings[0]["default"],
            &settings[0]["takes_effect"]
        ),
        (
            &json!("max_connections"),
            &json!("100"),
            &json!("100"),
            &json!("restart")
        )
    );
    assert_eq!(
        site.ansible("pgconf_info", false, &json!({ "instance": "nosuch" }))["settings"],
        json!([])
    );

    assert_eq!(
        site.pgconf_says(&["remove", "work_mem"]),
        "remove `work_mem` from postgresql.conf\n"
    );
    let output = site.pgconf(&["remove", "work_mem"]).code(1).go();
    assert_eq!(
        output.stderr,
        format!(
            "error: setting `work_mem` is not set in postgresql.conf of instance `{number}/main`\nhint: `pgsocle pgconf show` lists those that are\n"
        )
    );
    for (args, said) in [
        (
            vec!["explain", "wrk_mem"],
            "error: parameter `wrk_mem` is not known",
        ),
        (vec!["set", "work_mem"], "error: invalid value 'work_mem'"),
        (
            vec!["set", "work_mem=1", "Work_Mem=2"],
            "error: parameter `Work_Mem` is given twice",
        ),
    ] {
        let output = site.pgconf(&args).any_code().go();
        assert!(
            output.code != 0 && output.stderr.starts_with(said),
            "{output:?}"
        );
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one session at a terminal, told from beginning to end"
)]
fn an_editor_on_a_private_copy() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let conf = site.datadir().join("postgresql.conf");
    let script = |name: &str, text: &str| {
        let path = site.path(format!("home/{name}"));
        site.write_owned(&path, format!("#!/bin/sh\n{text}\n").as_bytes(), 0o755);
        path.display().to_string()
    };
    let seen = site.path("home/seen");
    let good = script(
        "good",
        &format!(
            "ls -l \"$2\" > {}; echo \"work_mem = 7MB # $1\" >> \"$2\"",
            seen.display()
        ),
    );
    let edit = |editor: &str| {
        site.pgconf(&["edit"])
            .env("EDITOR", "false")
            .env("VISUAL", editor)
    };
    let output = edit(&format!("{good} --quick")).go();
    assert_eq!(
        output.stdout,
        format!("set `work_mem` in postgresql.conf\nreload instance `{number}/main`\n")
    );
    assert!(
        std::fs::read_to_string(seen)
            .unwrap()
            .starts_with("-rw-------")
    );
    assert!(
        std::fs::read_to_string(&conf)
            .unwrap()
            .ends_with("work_mem = 7MB # --quick\n")
    );
    assert_eq!(site.ask("SHOW work_mem"), "7MB");
    assert_eq!(edit("true").go().stdout, "nothing to do\n");
    // What an editor leaves that has failed is no wish to have nothing.
    for left in [": >", "rm"] {
        let output = edit(&script("nothing", &format!("{left} \"$1\"")))
            .code(2)
            .go();
        assert!(
            output.stderr.contains("left nothing of the text"),
            "{output:?}"
        );
    }

    let before = site.picture();
    let lines = std::fs::read_to_string(&conf).unwrap().lines().count();
    for (name, text, said) in [
        (
            "syntax",
            "echo \"work_mem = '4MB\" >> \"$1\"",
            format!(
                "syntax error in line {} of the configuration file",
                lines + 1
            ),
        ),
        (
            "value",
            "echo 'work_mem = much' >> \"$1\"",
            "setting `work_mem`: invalid value `much` for parameter `work_mem`".to_owned(),
        ),
        (
            "unknown",
            "echo 'wrk_mem = 4MB' >> \"$1\"",
            "setting `wrk_mem` is not known to PostgreSQL".to_owned(),
        ),
        (
            "loop",
            "echo \"include 'postgresql.conf'\" >> \"$1\"",
            format!("line {} includes", lines + 1),
        ),
        (
            "place",
            "echo \"data_directory = '/'\" >> \"$1\"",
            "`data_directory` of instance".to_owned(),
        ),
    ] {
        let output = edit(&script(name, text)).any_code().go();
        assert!(
            output.code != 0 && output.stderr.contains(&said),
            "{name}: {output:?}"
        );
        before.assert_same(&site.picture_without_home(&before), name);
        // The work is not lost.
        let kept = output
            .stderr
            .split("your text is kept in `")
            .nth(1)
            .unwrap();
        let kept = kept.split('`').next().unwrap();
        let wrong = text
            .split(['"', '\''])
            .find(|part| part.contains("mem") || part.contains("include") || part.contains("data"));
        assert!(
            std::fs::read_to_string(kept)
                .unwrap()
                .contains(wrong.unwrap().trim_end_matches('\\').trim()),
            "{kept}"
        );
        std::fs::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
    }
    let output = edit("false").code(1).go();
    assert!(output.stderr.contains("nothing was changed"), "{output:?}");
    // Another program was faster: its work is not lost, and neither is ours.
    let text = std::fs::read_to_string(&conf).unwrap();
    let late = format!(
        "echo '# mine' >> \"$1\"; echo '# of another' >> {}",
        conf.display()
    );
    let output = edit(&script("late", &late)).code(1).go();
    assert!(
        output
            .stderr
            .contains("postgresql.conf` was changed by somebody else in the meantime"),
        "{output:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&conf).unwrap(),
        format!("{text}# of another\n")
    );
    let kept = output
        .stderr
        .split("your text is kept in `")
        .nth(1)
        .unwrap();
    let kept = std::path::Path::new(kept.split('`').next().unwrap());
    assert!(std::fs::read_to_string(kept).unwrap().ends_with("# mine\n"));
    std::fs::remove_dir_all(kept.parent().unwrap()).unwrap();
    site.write_owned(&conf, text.as_bytes(), 0o640);
    // A file that was broken by hand is mended so.
    let text = std::fs::read_to_string(&conf).unwrap();
    site.write_owned(
        &conf,
        format!("{text}wrk_mem = 4MB\njunk\n").as_bytes(),
        0o640,
    );
    let refusal = site.refusal(
        "pgconf",
        &json!({ "instance": "main", "settings": { "work_mem": "8MB" } }),
    );
    assert!(
        refusal[0].ends_with(&format!(
            "syntax error in line {} of the configuration file",
            lines + 2
        )),
        "{refusal:?}"
    );
    let mend = script("mend", "sed -i '/^junk/d; /^wrk_mem/d; s/7MB/6MB/' \"$1\"");
    edit(&mend).go();
    assert_eq!(site.ask("SHOW work_mem"), "6MB");
    assert_eq!(
        std::fs::metadata(&conf).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

impl Site {
    /// A picture in which the home directory is as in another one: editors live there.
    fn picture_without_home(
        &self,
        other: &crate::support::laws::Picture,
    ) -> crate::support::laws::Picture {
        let mut picture = self.picture();
        let at_home = |path: &str| path.starts_with("home");
        picture.files.retain(|path, _| !at_home(path));
        let home = other.files.iter().filter(|(path, _)| at_home(path));
        picture
            .files
            .extend(home.map(|(path, what)| (path.clone(), what.clone())));
        picture
    }
}

#[test]
fn every_major() {
    for major in Major::all() {
        let site = Site::new(&major);
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "port": site.port() }),
        );
        site.converges(
            "pgconf",
            &json!({ "instance": "main", "settings": { "work_mem": "8MB", "max_connections": 60, "port": site.port() }, "restart_on_changes": true }),
        );
        let facts = site.ansible("pgconf_info", false, &json!({ "names": ["work_mem"] }));
        assert_eq!(facts["settings"][0]["running"], "8MB");
    }
}

/// Which neither `postgres -C` nor the running server refuses: a session that begins with it does.
#[test]
fn what_keeps_new_sessions_out_is_taken_back() {
    let site = with_main(&json!({}));
    let set = site
        .pgsocle(["pgconf", "-i", "main", "set"])
        .args(["work_mem=9MB", "session_preload_libraries=nosuch"])
        .code(1)
        .go();
    assert!(
        set.stderr.contains(r#"could not access file "nosuch""#),
        "{}",
        set.stderr
    );
    assert_eq!(site.ask("SHOW work_mem"), "4MB");
    assert_eq!(site.ask("SHOW session_preload_libraries"), "");
}

/// `postgres -C` is not asked about these: the server must say the same. (`allow_alter_system` of 17 may stand in a file, and no
/// ALTER SYSTEM takes it.)
#[test]
fn the_server_takes_what_is_settled() {
    for major in Major::all() {
        let site = Site::new(&major);
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "port": site.port() }),
        );
        let described = site.ask(
            "SELECT json_agg(g) FROM (SELECT name, vartype, unit, context, coalesce(enumvals, '{}') AS enumvals, \
             min_val::float8 AS min, max_val::float8 AS max, boot_val AS boot FROM pg_settings \
             WHERE context NOT IN ('internal', 'postmaster') AND name <> 'allow_alter_system') g",
        );
        let known: Vec<Guc> = serde_json::from_str(&described).unwrap();
        let mut settled = Vec::new();
        for guc in &known {
            let bounds = [guc.min, guc.max].into_iter().flatten();
            let words = [
                "on", "OFF", "t", "0", "1", "2", "7", "-1", "1kB", "3MB", "1GB", "1d", "90s",
                "4parsecs",
            ];
            let mut values: Vec<String> = bounds
                .flat_map(|bound| [bound, bound - 1.0, bound + 1.0, (bound / 2.0).round()])
                .map(|number| number.to_string())
                .chain(guc.enumvals.iter().map(|word| word.to_uppercase()))
                .chain(words.map(str::to_owned))
                .collect();
            values.retain(|value| {
                guc::check(guc, value).is_ok() && guc::is_settled(guc, value, Version::NEWEST_KNOWN)
            });
            settled.extend(values.into_iter().map(|value| (guc.name.clone(), value)));
        }
        // Each parameter with one of its values at least, but for some thirty strings and those with a check of their own.
        let names: BTreeSet<&String> = settled.iter().map(|(name, _)| name).collect();
        assert!(names.len() > 150, "{}: {}", major.number, names.len());
        let statements = settled.iter().map(|(name, value)| {
            format!("ALTER SYSTEM SET \"{name}\" = '{value}';\n\\if :ERROR\n\\echo {name} = {value}\n\\endif\n")
        });
        let script: String = std::iter::once(
            "ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();\n\\o /dev/null\n".to_owned(),
        )
        .chain(statements)
        .collect();
        let output = site
            .postgresql("psql")
            .args(["-X", "-A", "-t", "-q", "-h"])
            .arg(site.path("run/postgresql"))
            .args(["-p", &site.port().to_string(), "-d", "postgres"])
            .stdin(script)
            .go();
        assert_eq!(
            output.stdout.trim(),
            "t",
            "{}: {}",
            major.number,
            output.stderr
        );
    }
}
