//! What accompanies the commands on instances: `alter`, `logs`, `shell`, completion and the manual page.

use serde_json::json;

use crate::instance::with_main;
use crate::support::bin::Run;

#[test]
fn altered_on_the_command_line() {
    let site = with_main(&json!({ "data_checksums": false }));
    let name = format!("{}/main", site.major().number);
    let alter = |args: &[&str]| site.pgsocle(["instance", "alter"]).args(args);
    let refused = alter(&["main", "--data-checksums"]).code(1).go();
    assert!(
        refused.stderr.starts_with(&format!(
            "error: service of instance {name}: instance `{name}` runs: its page checksums can be enabled only while it is down\nhint: "
        )),
        "{refused:?}"
    );
    let on = ["--data-checksums", "--restart-policy", "when_required"];
    let restart = format!("restart instance `{name}`, with page checksums enabled meanwhile");
    let dry = alter(&on).args(["--dry-run", "--diff"]).go();
    assert_eq!(
        dry.stdout,
        format!(
            "{restart} (impact: rewrite)\n--- instance {name}\n+++ instance {name}\n@@ -1,2 +1,2 @@\n-state: started\n-data_checksums: false\n+state: started (restarted)\n+data_checksums: true\ndry run: nothing was changed\n"
        )
    );
    assert_eq!(alter(&on).go().stdout, format!("{restart}\n"));
    assert_eq!(alter(&on).go().stdout, "nothing to do\n");
    // It stops and starts for nothing but what was asked for, and what is not given stays.
    assert_eq!(
        alter(&["--state", "stopped"]).go().stdout,
        format!("stop instance `{name}`\n")
    );
    let port = crate::support::pg::free_port().to_string();
    assert_eq!(
        alter(&[&name, "--port", &port]).go().stdout,
        "set `port` in postgresql.conf\n"
    );
    assert!(!site.is_running());
    let refused = alter(&["--surole-password", "word"]).code(1).go();
    assert_eq!(
        refused.stderr,
        format!(
            "error: instance `{name}` is stopped: passwords of its roles can be neither compared nor set\n\
             hint: add `--start-temporarily` to start it for the time of this run, or `--state started`; nothing was changed\n"
        )
    );
    let set = alter(&["--surole-password", "word", "--start-temporarily"]).go();
    assert!(set.stdout.contains("alter role `postgres`\n"), "{set:?}");
    assert!(!site.is_running());
    let missing = alter(&["mian", "--port", "1"]).code(2).go();
    assert_eq!(
        missing.stderr,
        format!("error: instance `mian` does not exist\nhint: did you mean `{name}`?\n")
    );
    // What is chosen at creation has no option.
    alter(&["--locale", "C"]).code(2).go();
}

#[test]
fn logs_of_a_server() {
    let site = with_main(&json!({}));
    let logs = |args: &[&str]| site.pgsocle(["instance", "logs"]).args(args);
    site.ask("DO $$ BEGIN RAISE WARNING 'first words'; END $$");
    let text = logs(&[]).go().stdout;
    assert!(
        text.contains("database system is ready to accept connections"),
        "{text}"
    );
    assert!(text.contains("WARNING:  first words"), "{text}");
    assert_eq!(logs(&["main", "--no-follow"]).go().stdout, text);
    // Followed into the next file, until nobody reads any more.
    let read = site.path("home/read");
    let follow = site
        .program("sh")
        .args(["-c", "\"$0\" instance logs -f | { while read -r line; do echo \"$line\"; case $line in *'last words'*) exit;; esac; done; } >\"$1\""])
        .arg(site.path("bin/pgsocle"))
        .arg(&read)
        .start();
    let seen = |words: &str| std::fs::read_to_string(&read).is_ok_and(|text| text.contains(words));
    while !seen("first words") {
        std::thread::yield_now();
    }
    let now = || std::fs::read_to_string(site.datadir().join("current_logfiles")).unwrap();
    let first = now();
    // Another name, so that the next file does not depend on the second.
    site.ask("ALTER SYSTEM SET log_filename = 'next.log'");
    site.ask("SELECT pg_reload_conf()");
    while now() == first {
        std::thread::yield_now();
    }
    site.ask("DO $$ BEGIN RAISE WARNING 'words in another file'; END $$");
    while !seen("words in another file") {
        std::thread::yield_now();
    }
    site.ask("DO $$ BEGIN RAISE WARNING 'last words'; END $$");
    while !seen("last words") {
        // Only a write tells the program that its reader has gone.
        std::thread::yield_now();
    }
    site.ask("DO $$ BEGIN RAISE WARNING 'unheard'; END $$");
    follow.wait();
    // The last one of a server that is stopped; and when it has none, what it said at its start.
    site.pgsocle(["instance", "stop"]).go();
    let text = logs(&[]).go().stdout;
    assert!(text.contains("WARNING:  last words"), "{text}");
    assert!(text.contains("database system is shut down"), "{text}");
    std::fs::remove_file(site.datadir().join("current_logfiles")).unwrap();
    assert_eq!(logs(&[]).go().stdout, text);
}

#[test]
fn a_shell_in_the_environment() {
    let site = with_main(&json!({}));
    let shell = || {
        let script = "echo \"$PGPORT $PGHOST $PGUSER\"; exit 7\n";
        site.pgsocle(["instance", "shell"]).stdin(script)
    };
    let expected = format!(
        "{} {} postgres\n",
        site.port(),
        site.path("run/postgresql").display()
    );
    let given = shell().args(["--shell", "/bin/sh"]).code(7).go();
    assert_eq!(given.stdout, expected);
    let own = shell().arg("main").env("SHELL", "/bin/sh").code(7).go();
    assert_eq!(own.stdout, expected);
    let refused = shell().code(2).go();
    assert_eq!(
        refused.stderr,
        "error: which shell is to run is not known: `SHELL` is not set\nhint: give one with `--shell FILE`\n"
    );
}

#[test]
fn completion_knows_the_instances() {
    let site = with_main(&json!({ "state": "stopped" }));
    let port = site.port();
    let words = |words: &[&str]| {
        site.pgsocle(["dev", "complete", "--"])
            .args(words)
            .go()
            .stdout
    };
    assert_eq!(
        words(&["instance", "start", ""]),
        format!("main\tport {port}\n")
    );
    assert_eq!(words(&["role", "-i", ""]), format!("main\tport {port}\n"));
    // A site that cannot be read has none, and says nothing into the command line.
    let output = site
        .pgsocle(["dev", "complete", "--", "instance", "start", ""])
        .env("PGSOCLE_CONFIG_DIR", "/no/such/place")
        .go();
    assert_eq!(
        (output.stdout, output.stderr),
        (String::new(), String::new())
    );
    // As bash does it.
    let script = r#"
eval "$("$0" completion bash)"
PATH=${0%/*}:$PATH
COMP_WORDS=(pgsocle instance start "") COMP_CWORD=3
_pgsocle
echo "${COMPREPLY[@]}"
COMP_WORDS=(pgsocle ins --x) COMP_CWORD=1
_pgsocle
echo "${COMPREPLY[@]}"
complete -p pgsocle
"#;
    let output = site
        .program("bash")
        .args(["-c", script])
        .arg(site.path("bin/pgsocle"))
        .go();
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        (
            "main\ninstance\ncomplete -o default -F _pgsocle pgsocle\n",
            ""
        )
    );
    // As zsh does it, but for the menu.
    let script = r#"
compdef() { echo "compdef $*"; }
_describe() { print -rl -- "${(@P)2}"; }
_files() { echo files; }
eval "$("$0" completion zsh)"
path=(${0:h} $path)
words=(pgsocle instance start "") CURRENT=4
_pgsocle
words=(pgsocle instance alter --state pre) CURRENT=5
_pgsocle
words=(pgsocle no such "") CURRENT=4
_pgsocle
"#;
    let output = site
        .program("zsh")
        .args(["-f", "-c", script])
        .arg(site.path("bin/pgsocle"))
        .go();
    assert_eq!(
        (output.stdout, output.stderr.as_str()),
        (
            format!("compdef _pgsocle pgsocle\nmain:port {port}\npresent\nfiles\n"),
            ""
        )
    );
    let script = r#"
set --prepend PATH (dirname $argv[1])
pgsocle completion fish | source
complete --do-complete "pgsocle instance start "
complete --do-complete "pgsocle ins"
"#;
    let output = site
        .program("fish")
        .args(["--no-config", "-c", script])
        .arg(site.path("bin/pgsocle"))
        .go();
    let help = "Instances: make, change, run and drop them";
    assert_eq!(
        (output.stdout, output.stderr.as_str()),
        (format!("main\tport {port}\ninstance\t{help}\n"), "")
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = Run::pgsocle().args(["completion", shell]).go().stdout;
        assert!(script.contains("pgsocle dev complete"), "{script}");
        assert_eq!(
            Run::pgsocle().args(["--completion", shell]).go().stdout,
            script
        );
    }
    let page = Run::pgsocle().args(["dev", "manual"]).go().stdout;
    assert!(page.starts_with(".TH PGSOCLE 1 "), "{page}");
}
