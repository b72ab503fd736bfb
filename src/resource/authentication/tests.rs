use super::*;
use crate::manifest::InFile;
use crate::resource::samples;
use serde_json::json;

const HBA: &str = "local all postgres peer map=m\nlocal all all md5\n";

fn file<T: Kind>(params: Value) -> File<T> {
    let (file, single) = InFile::<T::Spec>::from_value(params, T::NAME, T::KEY).unwrap();
    let target = samples::target(17);
    let wanted = Wanted::declared(&file, single.as_ref(), target.paths.version).unwrap();
    File {
        target,
        wanted,
        alone: true,
    }
}

/// With these files, and a server that runs or does not.
fn seen<T: Kind>(file: &File<T>, hba: &str, ident: &str, running: bool) -> Seen {
    let paths = &file.target.paths;
    let mut files = Files::default();
    for (path, text) in [(&paths.hba_file, hba), (&paths.ident_file, ident)] {
        let content = text.as_bytes().to_vec();
        files.files.insert(path.clone(), Ok(Some(content)));
    }
    let content = files.read(T::path(paths)).unwrap().unwrap();
    let server = samples::server();
    let known = Known {
        major: 17,
        groups: running.then(|| [server.user.clone()].into()),
        ..Known::default()
    };
    Seen {
        content,
        unread: false,
        files,
        own: Own::new(&server, "ada".into(), false, known),
        server: running.then_some(server),
        misspelt: None,
    }
}

fn planned<T: Kind>(params: Value, hba: &str, running: bool) -> String {
    let file = file::<T>(params);
    let ident = "m ada postgres\nother eve all\n";
    let plan = file.plan(&seen(&file, hba, ident, running));
    let text = samples::shown(plan);
    let beside = |line: &&str| !line.starts_with("fact Replaces") && !line.starts_with('{');
    let lines: Vec<&str> = text.lines().filter(beside).collect();
    lines.join("\n")
}

#[test]
fn a_record_for_a_running_server() {
    let params = json!({ "connection": { "address": "10.0.0.1" }, "method": "ldap",
        "options": { "ldapbasedn": "dc=x" }, "ldapbindpasswd": "canary", "before": "local all all md5" });
    insta::assert_snapshot!(planned::<Record>(params, HBA, true), @r"
    add `host all all 10.0.0.1/32 ldap ldapbasedn=dc=x ldapbindpasswd=********` to pg_hba.conf [reload]
      write /srv/main/data/pg_hba.conf
       local all postgres peer map=m
      +host    all             all             10.0.0.1/32             ldap ldapbasedn=dc=x ldapbindpasswd=********
       local all all md5
      undo Configuration: write /srv/main/data/pg_hba.conf
    fact ReloadNeeded(Sessions)
    ");
}

#[test]
fn a_list_for_a_stopped_one() {
    let params = json!({ "records": [{ "user": "postgres", "method": "trust" }, { "method": "md5" }], "purge": true });
    let hba = format!("# c\n{HBA}junk\n");
    insta::assert_snapshot!(planned::<Record>(params, &hba, false), @r"
    change pg_hba.conf [none]
      write /srv/main/data/pg_hba.conf
       # c
      -local all postgres peer map=m
      +local   all             postgres                                trust
       local all all md5
       junk
      undo Configuration: write /srv/main/data/pg_hba.conf
    warning: line 4 of /srv/main/data/pg_hba.conf is wrong: unknown connection type `junk` (with it the server does not take the file)
    ");
}

#[test]
fn who_is_kept_out() {
    let reject = |user: &str| json!({ "user": user, "method": "reject", "position": "first" });
    for (params, hba, refused) in [
        (reject("all"), HBA, true),
        (reject("bob"), HBA, false),
        (reject("postgres"), HBA, true),
        // Of a group nobody knows while the server is stopped.
        (reject("+dba"), HBA, false),
        // It is so already.
        (reject("all"), "local all bob trust\n", false),
        (reject("all"), "local all all md5\n", false),
    ] {
        let text = planned::<Record>(params.clone(), hba, false);
        assert_eq!(
            text.starts_with("Conflict: with this pg_hba.conf"),
            refused,
            "{params}: {text}"
        );
    }
    let gone = |user: &str| json!({ "map": "m", "system_user": user, "role": "postgres", "state": "absent" });
    insta::assert_snapshot!(planned::<Mapping>(gone("ada"), HBA, true), @r"
    Conflict: with this pg_ident.conf the superuser role `postgres` could not connect through the local socket any more (`local all postgres peer map=m` decides, and no mapping of `m` lets the system user `ada` be it), and nothing could manage the instance
    hint: keep what lets it in: its record, above all that would keep it out, and its mapping where the record names a map
    ");
    assert_eq!(planned::<Mapping>(gone("bob"), HBA, true), "");
    assert_eq!(
        planned::<Mapping>(gone("ada"), "local all all trust\n", true)
            .lines()
            .next(),
        Some("remove `m ada postgres` from pg_ident.conf [reload]")
    );
}

#[test]
fn what_is_included_is_there() {
    let included = "local all all reject\n";
    let path = |file: &File<Record>| file.target.paths.datadir.join("more.conf");
    let planned = |params: Value| {
        let file = file::<Record>(params);
        let mut seen = seen(
            &file,
            "local all postgres trust\ninclude more.conf\n",
            "",
            false,
        );
        seen.files
            .files
            .insert(path(&file), Ok(Some(included.into())));
        let plan = file.plan(&seen).unwrap();
        (plan.changes.len(), plan.warnings)
    };
    assert_eq!(planned(json!({ "method": "reject" })), (0, vec![]));
    let listed =
        json!({ "records": [{ "method": "reject" }, { "user": "bob", "method": "reject" }] });
    assert_eq!(planned(listed), (1, vec![]));
    let placed = json!({ "method": "reject", "position": "last" });
    assert_eq!(planned(placed).0, 1);
    let stays = "`local all all reject` stays: pg_hba.conf includes it from line 1 of /srv/main/data/more.conf, which is not edited";
    let absent = json!({ "method": "reject", "state": "absent" });
    assert_eq!(planned(absent), (0, vec![stays.to_owned()]));
}

#[test]
fn an_expression_that_the_server_does_not_take() {
    let file = file::<Mapping>(json!({ "map": "m", "system_user": "/^(a", "role": "bob" }));
    let mut seen = seen(&file, HBA, "", true);
    seen.misspelt = Some(("^(a".into(), "parentheses () not balanced".into()));
    insta::assert_snapshot!(samples::shown(file.plan(&seen)), @r"
    Input: the server of instance `17/main` does not take the regular expression `^(a`: parentheses () not balanced
    hint: correct it; nothing was changed
    ");
    let record = Mapping::new("m", "/^(a", "/b");
    assert_eq!(record.patterns(17), ["^(a", "b"]);
    assert_eq!(record.patterns(15), ["^(a"]);
}

#[test]
fn what_somebody_edited() {
    let mut edited = file::<Record>(json!({ "method": "md5" }));
    let seen = seen(&edited, HBA, "", false);
    for (content, first) in [
        (
            format!("{HBA}junk\n"),
            "Input: line 3 of /srv/main/data/pg_hba.conf is wrong: unknown connection type `junk`",
        ),
        (
            format!("{HBA}include none\n"),
            "Input: line 3 of /srv/main/data/pg_hba.conf is wrong: `/srv/main/data/none` does not exist",
        ),
        (format!("{HBA}# c"), "change pg_hba.conf [none]"),
    ] {
        let content = content.into_bytes();
        let base = HBA.into();
        edited.wanted = Wanted::Content(Text { base, content });
        let text = samples::shown(edited.plan(&seen));
        assert_eq!(text.lines().next(), Some(first));
    }
    let text = |base: &str, content: &str| {
        Wanted::Content(Text {
            base: base.into(),
            content: content.into(),
        })
    };
    edited.wanted = text("# other\n", "local all all trust\n");
    assert_eq!(
        samples::shown(edited.plan(&seen)),
        "Conflict: `/srv/main/data/pg_hba.conf` was changed by somebody else in the meantime\n\
         hint: edit it as it is now; nothing was changed\n"
    );
    // What the other has written is what was wanted.
    edited.wanted = text("# other\n", HBA);
    assert!(edited.plan(&seen).unwrap().is_empty());
}
