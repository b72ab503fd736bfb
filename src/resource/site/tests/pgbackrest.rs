//! The site's part of pgBackRest: exact files, and its TLS server.

use super::*;
use crate::component::item::Part;
use crate::plan::{Content, Step};

const TLS: &str = "prefix: /p\nrun_prefix: /r\npgbackrest: {repository: {mode: host-tls, host: repo1, cn: repo, \
                   certificate: {ca_cert: /t/ca, cert: /t/cert, key: /t/key}}}\n";

/// What the settings add to those of a site without pgBackRest.
fn added(settings: &str) -> String {
    let machine = Machine::new(true, &[]);
    let items = |settings: &str| {
        let site = machine.site(settings);
        items(&site.settings, &Templates::shipped(&site.settings)).unwrap()
    };
    let without: Vec<&str> = settings
        .lines()
        .filter(|line| !line.starts_with("pgbackrest"))
        .collect();
    let without = items(&without.join("\n"));
    items(settings)
        .into_iter()
        .filter(|item| !without.contains(item))
        .map(|item| {
            let root = if item.root { " (root)" } else { "" };
            let mode = item.what.mode();
            let content: String = match &item.what {
                What::Directory { .. } => return format!("{}/ {mode:04o}{root}\n", item.path),
                What::File { content, .. } => content.clone(),
                What::Private { parts } => parts
                    .iter()
                    .map(|part| match part {
                        Part::Plain(text) => text.clone(),
                        Part::ContentOf { file, .. } => format!("< {file}"),
                    })
                    .collect(),
            };
            format!("{} {mode:04o}{root}\n{content}--\n", item.path)
        })
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn files_of_a_local_repository() {
    insta::assert_snapshot!(added("prefix: /p\nrun_prefix: /r\npgbackrest: {repository: {mode: path, path: b}}\n"), @r"
    /p/etc/pgbackrest/ 0750
    /p/etc/pgbackrest/conf.d/ 0750
    /p/log/pgbackrest/ 0750
    /p/srv/pgbackrest/spool/ 0750
    /r/pgbackrest/lock/ 0750
    /p/srv/b/ 0750
    /p/etc/pgbackrest/pgbackrest.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    lock-path=/r/pgbackrest/lock
    log-path=/p/log/pgbackrest
    spool-path=/p/srv/pgbackrest/spool
    repo1-path=/p/srv/b
    repo1-retention-archive=2
    repo1-retention-diff=3
    repo1-retention-full=2
    --
    ");
}

#[test]
fn files_with_secrets() {
    insta::assert_snapshot!(added(
        "prefix: /p\nrun_prefix: /r\nsystemd: {}\nlogrotate: {}\npgbackrest: {configpath: /etc/pgbackrest, repository: \
         {mode: s3, bucket: b, endpoint: e, region: r, key_file: /k/key, key_secret_file: /k/secret}, more_repositories: \
         [{mode: path, path: /b, cipher: {pass_file: /k/pass}}]}\n"
    ), @r#"
    /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-pgbackrest.conf 0644
    d /r 0755 - -
    d /r/pgbackrest 0755 - -
    d /r/pgbackrest/lock 0750 - -
    --
    /etc/pgbackrest/ 0750 (root)
    /etc/pgbackrest/conf.d/ 0750 (root)
    /p/log/pgbackrest/ 0750
    /p/srv/pgbackrest/spool/ 0750
    /r/pgbackrest/lock/ 0750
    /b/ 0750 (root)
    /etc/pgbackrest/pgbackrest.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    lock-path=/r/pgbackrest/lock
    log-path=/p/log/pgbackrest
    spool-path=/p/srv/pgbackrest/spool
    repo1-type=s3
    repo1-path=/pgbackrest
    repo1-s3-bucket=b
    repo1-s3-endpoint=e
    repo1-s3-region=r
    repo1-s3-key-type=shared
    repo1-retention-archive=2
    repo1-retention-diff=3
    repo1-retention-full=2
    repo2-path=/b
    repo2-cipher-type=aes-256-cbc
    repo2-retention-archive=2
    repo2-retention-diff=3
    repo2-retention-full=2
    --
    /etc/pgbackrest/conf.d/@repositories.conf 0600
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    repo1-s3-key=< /k/key
    repo1-s3-key-secret=< /k/secret
    repo2-cipher-pass=< /k/pass
    --
    /p/etc/logrotate.d/pgsocle-pgbackrest.conf 0644
    "/p/log/pgbackrest"/*.log {
      su postgres postgres
      weekly
      rotate 10
      copytruncate
      delaycompress
      compress
      notifempty
      missingok
    }
    --
    "#);
}

#[test]
fn files_of_a_server_of_the_system() {
    insta::assert_snapshot!(added(&format!("{TLS}systemd: {{user: false}}\n")), @r"
    /etc/tmpfiles.d/pgsocle-pgbackrest.conf 0644 (root)
    d /r 0755 postgres postgres
    d /r/pgbackrest 0755 postgres postgres
    d /r/pgbackrest/lock 0750 postgres postgres
    --
    /p/etc/pgbackrest/ 0750
    /p/etc/pgbackrest/conf.d/ 0750
    /p/log/pgbackrest/ 0750
    /p/srv/pgbackrest/spool/ 0750
    /r/pgbackrest/lock/ 0750
    /p/etc/pgbackrest/pgbackrest.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    lock-path=/r/pgbackrest/lock
    log-path=/p/log/pgbackrest
    spool-path=/p/srv/pgbackrest/spool
    repo1-host=repo1
    repo1-host-type=tls
    repo1-host-ca-file=/t/ca
    repo1-host-cert-file=/t/cert
    repo1-host-key-file=/t/key
    --
    /etc/systemd/system/pgsocle-pgbackrest.service 0644 (root)
    [Unit]
    Description=TLS server of pgBackRest
    Documentation=https://pgbackrest.org/user-guide.html
    After=network-online.target
    Wants=network-online.target
    StartLimitIntervalSec=0

    [Service]
    User=postgres
    Group=postgres
    ExecStart=/usr/bin/pgbackrest server --config=/p/etc/pgbackrest/server.conf
    # It is up when it answers.
    ExecStartPost=/usr/bin/pgbackrest server-ping --config=/p/etc/pgbackrest/server.conf --io-timeout=10
    ExecReload=/bin/kill -HUP $MAINPID
    # A backup or restore of another host that is going on is a process of its own.
    KillMode=process
    Restart=always
    RestartSec=5

    [Install]
    WantedBy=multi-user.target
    --
    /p/etc/pgbackrest/server.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    log-path=/p/log/pgbackrest
    tls-server-address=*
    tls-server-auth=repo=*
    tls-server-ca-file=/t/ca
    tls-server-cert-file=/t/cert
    tls-server-key-file=/t/key
    tls-server-port=8432
    --
    ");
}

#[test]
fn files_of_a_server_of_the_user() {
    insta::assert_snapshot!(added(&user()), @r"
    /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-pgbackrest.conf 0644
    d /r 0755 - -
    d /r/pgbackrest 0755 - -
    d /r/pgbackrest/lock 0750 - -
    --
    /p/etc/pgbackrest/ 0750
    /p/etc/pgbackrest/conf.d/ 0750
    /p/log/pgbackrest/ 0750
    /p/srv/pgbackrest/spool/ 0750
    /r/pgbackrest/lock/ 0750
    /p/etc/pgbackrest/pgbackrest.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    lock-path=/r/pgbackrest/lock
    log-path=/p/log/pgbackrest
    spool-path=/p/srv/pgbackrest/spool
    repo1-host=repo1
    repo1-host-type=tls
    repo1-host-ca-file=/t/ca
    repo1-host-cert-file=/t/cert
    repo1-host-key-file=/t/key
    --
    /var/lib/postgresql/.local/share/systemd/user/pgsocle-pgbackrest.service 0644
    [Unit]
    Description=TLS server of pgBackRest
    Documentation=https://pgbackrest.org/user-guide.html
    StartLimitIntervalSec=0

    [Service]
    ExecStart=/usr/bin/pgbackrest server --config=/p/etc/pgbackrest/server.conf
    # It is up when it answers.
    ExecStartPost=/usr/bin/pgbackrest server-ping --config=/p/etc/pgbackrest/server.conf --io-timeout=10
    ExecReload=/bin/kill -HUP $MAINPID
    # A backup or restore of another host that is going on is a process of its own.
    KillMode=process
    Restart=always
    RestartSec=5

    [Install]
    WantedBy=default.target
    --
    /p/etc/pgbackrest/server.conf 0640
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    log-path=/p/log/pgbackrest
    tls-server-address=*
    tls-server-auth=repo=*
    tls-server-ca-file=/t/ca
    tls-server-cert-file=/t/cert
    tls-server-key-file=/t/key
    tls-server-port=8432
    --
    ");
}

/// A machine with everything that the settings want of pgBackRest, whose server says this of itself.
fn complete_with(settings: &str, unit: &'static str) -> Machine {
    let mut machine = complete(settings);
    for path in ["/usr/bin/pgbackrest", "/t/ca", "/t/cert", "/t/key"] {
        machine.put(path, "");
    }
    machine.owners.insert("/t/key".into(), (26, 0o600));
    machine.answers = vec![
        ("/usr/bin/pgbackrest version", (0, "pgBackRest 2.45\n", "")),
        (
            "openssl verify -CAfile /t/ca /t/cert",
            (0, "/t/cert: OK\n", ""),
        ),
        (
            "systemctl --user show -p ActiveState,UnitFileState,StateChangeTimestamp pgsocle-pgbackrest.service",
            (0, unit, ""),
        ),
    ];
    machine
}

const RUNS: &str =
    "ActiveState=active\nUnitFileState=enabled\nStateChangeTimestamp=Thu 1970-01-01 00:01:40 UTC\n";

fn user() -> String {
    format!("{TLS}systemd: {{}}\n")
}

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_server_that_runs_is_left_alone() {
    let machine = complete_with(&user(), RUNS);
    assert_eq!(plan(&machine, &user(), &json!({})).unwrap().to_string(), "");
    assert_eq!(check(&machine, &machine.site(&user())).unwrap(), []);
}

#[test]
fn a_server_that_does_not_run_is_started() {
    let stopped = "ActiveState=inactive\nUnitFileState=disabled\nStateChangeTimestamp=\n";
    let machine = complete_with(&user(), stopped);
    insta::assert_snapshot!(plan(&machine, &user(), &json!({})).unwrap(), @r"
    start the TLS server of pgBackRest (`pgsocle-pgbackrest.service`) [none]
      enable pgsocle-pgbackrest.service
      restart pgsocle-pgbackrest.service
    ");
    assert_eq!(
        told(&check(&machine, &machine.site(&user())).unwrap()),
        ["`pgsocle-pgbackrest.service` does not run"]
    );
    let enabled = "ActiveState=active\nUnitFileState=disabled\nStateChangeTimestamp=\n";
    let machine = complete_with(&user(), enabled);
    insta::assert_snapshot!(plan(&machine, &user(), &json!({})).unwrap(), @r"
    enable the TLS server of pgBackRest (`pgsocle-pgbackrest.service`) [none]
      enable pgsocle-pgbackrest.service
    ");
}

#[test]
fn a_server_reads_new_certificates() {
    let mut machine = complete_with(&user(), RUNS);
    // 100 seconds after 1970, as systemd has it, and later.
    machine.times.insert("/t/cert".into(), 100_900_000);
    assert_eq!(plan(&machine, &user(), &json!({})).unwrap().to_string(), "");
    machine.times.insert("/t/cert".into(), 101_000_000);
    insta::assert_snapshot!(plan(&machine, &user(), &json!({})).unwrap(), @r"
    have the TLS server of pgBackRest read `/t/cert` again (`pgsocle-pgbackrest.service`) [none]
      reload pgsocle-pgbackrest.service
    ");
    machine.put("/p/etc/pgbackrest/server.conf", "old\n");
    machine.times.clear();
    insta::assert_snapshot!(plan(&machine, &user(), &json!({})).unwrap(), @r"
    change `/p/etc/pgbackrest/server.conf` [none]
      write /p/etc/pgbackrest/server.conf
      try-reload-or-restart pgsocle-pgbackrest.service
    ");
}

#[test]
fn without_a_service_manager_somebody_starts_it() {
    let mut machine = complete_with(TLS, "");
    insta::assert_snapshot!(plan(&machine, TLS, &json!({})).unwrap(), @"warning: the TLS server of pgBackRest does not run, and the site settings name no service manager that would start it: as user `postgres`, run `/usr/bin/pgbackrest server --config=/p/etc/pgbackrest/server.conf`, now and at every boot");
    machine.ports.push(8432);
    assert_eq!(plan(&machine, TLS, &json!({})).unwrap().to_string(), "");
}

#[test]
fn what_the_host_lacks() {
    let lacks = |change: &dyn Fn(&mut Machine)| -> Vec<String> {
        let mut machine = complete_with(&user(), RUNS);
        change(&mut machine);
        let plan = plan(&machine, &user(), &json!({})).unwrap();
        // Nothing is done, and the check says the same.
        assert_eq!(plan.to_string(), "");
        let missing: Vec<String> = plan.missing.iter().map(ToString::to_string).collect();
        let findings = check(&machine, &machine.site(&user())).unwrap();
        assert_eq!(told(&findings), missing);
        missing
    };
    let found = [
        lacks(&|machine| machine.take("/usr/bin/pgbackrest")),
        lacks(&|machine| machine.answers[0].1.1 = "pgBackRest 2.33\n"),
        lacks(&|machine| machine.take("/t/ca")),
        lacks(&|machine| _ = machine.owners.insert("/t/key".into(), (26, 0o640))),
        lacks(&|machine| _ = machine.owners.insert("/t/key".into(), (27, 0o600))),
        lacks(&|machine| {
            machine.answers[1].1 = (
                2,
                "",
                "CN = db1\nerror 10 at 0 depth lookup: certificate has expired\nerror /t/cert: verification failed\n",
            );
        }),
        // Root's key may be read by a group.
        lacks(&|machine| _ = machine.owners.insert("/t/key".into(), (0, 0o640))),
        // No openssl: nothing is said of certificates.
        lacks(&|machine| _ = machine.answers.remove(1)),
    ];
    insta::assert_json_snapshot!(found);
}

#[test]
fn an_instance_is_not_kept_waiting_for_a_certificate() {
    let mut machine = complete_with(&user(), RUNS);
    machine.take("/t/cert");
    let [_, services] = ground(&machine, &machine.site(&user())).unwrap();
    let plan = services.decide(&machine, &World::default()).unwrap();
    assert_eq!(plan.missing.len(), 0);
    insta::assert_snapshot!(plan, @"warning: `/t/cert` is missing, which the site settings name for the TLS server of pgBackRest");
}

const SECRET: &str = "prefix: /p\nrun_prefix: /r\npgbackrest: {repository: {mode: path, path: /b, cipher: {pass_file: /k/pass}}}\n";
const CONFIGURATION: &str = "/p/etc/pgbackrest/pgbackrest.conf";
const FRAGMENT: &str = "/p/etc/pgbackrest/conf.d/@repositories.conf";

#[test]
fn secrets_are_written_and_never_shown() {
    let mut machine = complete_with(SECRET, "");
    machine.put("/k/pass", "canary\n");
    let of = |machine: &Machine| plan(machine, SECRET, &json!({})).unwrap();
    let new = of(&machine);
    insta::assert_snapshot!(new, @r"
    write `/p/etc/pgbackrest/conf.d/@repositories.conf` [none]
      write /p/etc/pgbackrest/conf.d/@repositories.conf
    ");
    insta::assert_snapshot!(new.changes[0].diff.after, @r"
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    repo1-cipher-pass=********
    ");
    let Step::WriteFile {
        content: Content::Text(text),
        mode: 0o600,
        ..
    } = &new.changes[0].steps[0]
    else {
        panic!("{:?}", new.changes[0].steps)
    };
    let written = "# Written by pgsocle; what is changed here is overwritten.\n[global]\nrepo1-cipher-pass=canary\n";
    assert!(text.is(written.as_bytes()));
    machine.put(FRAGMENT, written);
    assert_eq!(of(&machine).to_string(), "");
    machine.put("/k/pass", "another");
    let changed = of(&machine);
    insta::assert_snapshot!(changed, @r"
    change `/p/etc/pgbackrest/conf.d/@repositories.conf` [none]
      write /p/etc/pgbackrest/conf.d/@repositories.conf
    ");
    insta::assert_snapshot!(changed.changes[0].diff.before, @r"
    # Written by pgsocle; what is changed here is overwritten.
    [global]
    repo1-cipher-pass=******** (as it was)
    ");
    assert!(!format!("{changed:?}").contains("canary"));
    let gone = plan(&machine, SECRET, &json!({"state": "absent"})).unwrap();
    assert!(!format!("{gone:?}").contains("canary"));
    assert!(gone.to_string().contains(FRAGMENT));
}

/// What is said of a machine on which a key was configured, when another one is wanted.
fn rekeyed(repository: &str, prepare: impl Fn(&mut Machine)) -> String {
    let section = |cipher: &str| {
        format!(
            "prefix: /p\nrun_prefix: /r\npgbackrest: {{repository: {{{repository}{cipher}}}}}\n"
        )
    };
    let cipher = ", cipher: {pass_file: /k/pass}";
    let settings = section(cipher);
    let mut machine = complete_with(&settings, "");
    machine.put("/k/pass", "another\n");
    machine.put("/k/key", "key\n");
    machine.put(FRAGMENT, "[global]\nrepo1-cipher-pass=canary\n");
    prepare(&mut machine);
    let said = |settings: &str| {
        let plan = plan(&machine, settings, &json!({})).unwrap();
        let missing = plan.missing.iter().map(|error| {
            let hint = Fault::of(error).and_then(|fault| fault.hint.clone());
            format!("refused: {error}; {}\n", hint.unwrap_or_default())
        });
        let warnings = plan
            .warnings
            .iter()
            .map(|words| format!("warning: {words}\n"));
        missing.chain(warnings).collect::<String>()
    };
    let said = [said(&settings), said(&section(""))].concat();
    assert!(!said.contains("canary"));
    said
}

#[test]
fn the_key_of_a_repository_stays() {
    let local = "mode: path, path: /b";
    assert_eq!(rekeyed(local, |_| {}), "");
    let used = |machine: &mut Machine| machine.put("/b/archive/app/archive.info", "");
    let refused = |mend: &str| {
        format!(
            "refused: the encryption of repository 1 is not the one that it was made with, and cannot be changed: stanza `app` is in it; \
             {mend}; for other encryption give the repository another place\n"
        )
    };
    let (written, given) = (
        "write the former key into `/k/pass`",
        "give `cipher` with the former key",
    );
    let both = refused(written) + &refused(given);
    assert_eq!(rekeyed(local, used), both);
    // Encryption is not begun on one that is there.
    let plain = rekeyed(local, |machine| {
        used(machine);
        machine.put(CONFIGURATION, "[global]\nrepo1-path=/b\n");
    });
    assert_eq!(plain, refused(written));
    // Nothing is said of what stays, or of another place.
    let same = rekeyed(local, |machine| {
        used(machine);
        machine.put("/k/pass", "canary");
    });
    assert_eq!(same, refused(given));
    let moved = rekeyed(local, |machine| {
        used(machine);
        machine.put(CONFIGURATION, "[global]\nrepo1-path=/a\n");
    });
    assert_eq!(moved, "");
    let store = "mode: s3, bucket: b, endpoint: e, region: r, key_type: auto, retention: {}";
    let answer = |status, stdout: &'static str, stderr: &'static str| {
        move |machine: &mut Machine| {
            let info =
                "/usr/bin/pgbackrest --config-path=/p/etc/pgbackrest --repo=1 --output=json info";
            machine.answers.push((info, (status, stdout, stderr)));
        }
    };
    assert_eq!(rekeyed(store, answer(0, "[]", "")), "");
    let found = answer(0, r#"[{"name": "app"}]"#, "");
    assert_eq!(rekeyed(store, found), both);
    let doubted = |mend: &str| {
        format!(
            "warning: the encryption of repository 1 is not the one that was configured before, and whether there are stanzas in it \
             is not known (pgBackRest cannot look into it: [049]: no route): with another key they cannot be read any more; {mend}; \
             for other encryption give the repository another place\n"
        )
    };
    let silent = answer(49, "", "ERROR: [049]: no route\n");
    assert_eq!(rekeyed(store, silent), doubted(written) + &doubted(given));
}

#[test]
fn secrets_that_cannot_be_had() {
    let found: Vec<String> = [None, Some(""), Some("a\nb\n"), Some(" a\n")]
        .into_iter()
        .map(|content| {
            let mut machine = complete_with(SECRET, "");
            if let Some(content) = content {
                machine.put("/k/pass", content);
            }
            let plan = plan(&machine, SECRET, &json!({})).unwrap();
            assert!(plan.is_empty());
            let said = plan.missing[0].to_string();
            let findings = check(&machine, &machine.site(SECRET)).unwrap();
            assert_eq!(told(&findings).first(), Some(&said));
            assert_eq!(findings.len(), 1);
            said
        })
        .collect();
    insta::assert_json_snapshot!(found);
}

#[test]
fn a_server_that_is_wanted_no_more_ends() {
    let local = "prefix: /p\nrun_prefix: /r\nsystemd: {}\npgbackrest: {repository: {mode: path, path: /b}}\n";
    let mut machine = complete_with(local, RUNS);
    let unit = "/var/lib/postgresql/.local/share/systemd/user/pgsocle-pgbackrest.service";
    machine.put(unit, "[Service]\n");
    insta::assert_snapshot!(plan(&machine, local, &json!({})).unwrap(), @r"
    stop `pgsocle-pgbackrest.service`, which the site settings want no more, and remove it [none]
      stop pgsocle-pgbackrest.service
      disable pgsocle-pgbackrest.service
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-pgbackrest.service
      daemon-reload pgsocle-pgbackrest.service
    ");
    // What was written for it goes too, and what others have written stays.
    machine.take(unit);
    let server = "/p/etc/pgbackrest/server.conf";
    machine.put(server, "[global]\n");
    assert_eq!(plan(&machine, local, &json!({})).unwrap().to_string(), "");
    for path in [server, FRAGMENT] {
        machine.put(
            path,
            "# Written by pgsocle; what is changed here is overwritten.\n[global]\nx-pass=canary\n",
        );
    }
    let rest = plan(&machine, local, &json!({})).unwrap();
    insta::assert_snapshot!(rest, @r"
    remove `/p/etc/pgbackrest/server.conf`, which the site settings want no more [none]
      remove /p/etc/pgbackrest/server.conf
    remove `/p/etc/pgbackrest/conf.d/@repositories.conf`, which the site settings want no more [none]
      remove /p/etc/pgbackrest/conf.d/@repositories.conf
    ");
    assert!(rest.changes[0].diff.before.contains("canary"));
    assert!(!rest.changes[1].diff.before.contains("canary"));
    // Without a section nothing is known of secrets: servers may go on to archive.
    let rest = plan(
        &machine,
        "prefix: /p\nrun_prefix: /r\nsystemd: {}\n",
        &json!({}),
    )
    .unwrap();
    assert!(
        rest.to_string().contains("server.conf") && !rest.to_string().contains(FRAGMENT),
        "{rest}"
    );
    // A run on an instance has other things to do.
    let [_, services] = ground(&machine, &machine.site(local)).unwrap();
    let plan = services.decide(&machine, &World::default()).unwrap();
    assert_eq!(plan.to_string(), "");
}

#[test]
fn removal_keeps_backups() {
    let mut machine = complete_with(&user(), RUNS);
    machine.put("/p/log/pgbackrest/all-server.log", "a line\n");
    insta::assert_snapshot!(plan(&machine, &user(), &json!({"state": "absent"})).unwrap(), @r"
    remove `/p/etc/pgbackrest/server.conf` [none]
      remove /p/etc/pgbackrest/server.conf
    remove `/var/lib/postgresql/.local/share/systemd/user/pgsocle-pgbackrest.service` [none]
      stop pgsocle-pgbackrest.service
      disable pgsocle-pgbackrest.service
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-pgbackrest.service
      daemon-reload pgsocle-pgbackrest.service
    remove `/p/etc/pgbackrest/pgbackrest.conf` [none]
      remove /p/etc/pgbackrest/pgbackrest.conf
    remove `/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-pgbackrest.conf` [none]
      remove /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-pgbackrest.conf
    remove `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` [none]
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    remove `/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf` [none]
      remove /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
    remove the empty directory `/r/pgbackrest/lock` [none]
      remove /r/pgbackrest/lock if empty
    remove the empty directory `/p/srv/pgbackrest/spool` [none]
      remove /p/srv/pgbackrest/spool if empty
    remove the empty directory `/p/etc/pgbackrest/conf.d` [none]
      remove /p/etc/pgbackrest/conf.d if empty
    remove the empty directory `/p/etc/pgbackrest` [none]
      remove /p/etc/pgbackrest if empty
    remove the empty directory `/p/log/postgresql` [none]
      remove /p/log/postgresql if empty
    warning: directory `/p/log/pgbackrest` is kept: 1 entries are in it
    warning: directory `/r` is kept: 1 entries are in it
    ");
    let local = "prefix: /p\nrun_prefix: /r\npgbackrest: {repository: {mode: path, path: /b}}\n";
    let machine = complete_with(local, "");
    let removed = plan(&machine, local, &json!({"state": "absent"})).unwrap();
    assert!(!removed.to_string().contains("`/b`"), "{removed}");
}
