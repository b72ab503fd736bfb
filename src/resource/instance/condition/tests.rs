use super::*;
use crate::resource::samples;

const POSTGRES: u32 = 26;

fn owner() -> Caller {
    Caller {
        user: "postgres".into(),
        group: "postgres".into(),
        uid: POSTGRES,
        gid: POSTGRES,
        home: "/var/lib/pgsql".into(),
        config_home: None,
        data_home: None,
        runtime_dir: None,
        root: true,
    }
}

fn stat(kind: FileKind, uid: u32, mode: u32) -> Stat {
    Stat {
        kind,
        mode,
        uid,
        gid: uid,
        device: 1,
        modified: 0,
    }
}

fn directory_of(uid: u32, mode: u32) -> Stat {
    stat(FileKind::Directory, uid, mode)
}

/// A stopped instance in good condition.
fn sound() -> Seen {
    Seen {
        data: Some(directory_of(POSTGRES, 0o700)),
        datadir: Directory::Cluster("17".into()),
        owner: owner(),
        files: vec![(
            "/srv/main/data/postgresql.conf".into(),
            stat(FileKind::File, POSTGRES, 0o600),
        )],
        read_only: None,
        running: None,
        outside_of: None,
        identifier: Some(7),
        known: Some((7, "its journal at T".into())),
        record: Record::default(),
        selinux: None,
    }
}

fn condition(aim: Aim, identifier: Option<u64>) -> Condition {
    Condition {
        target: samples::target(17),
        aim,
        identifier,
    }
}

fn shown(aim: Aim, seen: &Seen) -> String {
    samples::shown(condition(aim, None).plan(seen))
}

#[test]
fn a_sound_instance_is_passed_over() {
    for aim in [Aim::Use, Aim::Stop, Aim::Remove] {
        assert_eq!(shown(aim, &sound()), "fact Cluster(7)\n");
    }
    let none = Seen {
        data: None,
        datadir: Directory::Missing,
        files: Vec::new(),
        identifier: None,
        known: None,
        ..sound()
    };
    assert_eq!(shown(Aim::Use, &none), "");
    let group = Seen {
        data: Some(directory_of(POSTGRES, 0o750)),
        ..sound()
    };
    assert_eq!(shown(Aim::Use, &group), "fact Cluster(7)\n");
}

#[test]
fn what_stands_in_the_way_is_named_with_its_remedy() {
    let file = |uid, mode| {
        vec![(
            "/srv/main/data/pg_hba.conf".into(),
            stat(FileKind::File, uid, mode),
        )]
    };
    let cases = [
        Seen {
            data: Some(directory_of(0, 0o700)),
            ..sound()
        },
        Seen {
            data: Some(directory_of(POSTGRES, 0o755)),
            ..sound()
        },
        Seen {
            data: Some(directory_of(POSTGRES, 0o755)),
            running: Some(4711),
            ..sound()
        },
        Seen {
            files: file(0, 0o600),
            ..sound()
        },
        Seen {
            files: file(0, 0o644),
            ..sound()
        },
        Seen {
            files: file(POSTGRES, 0o044),
            ..sound()
        },
        Seen {
            read_only: Some(("/srv/main/data".into(), "/srv".into())),
            ..sound()
        },
        Seen {
            datadir: Directory::Cluster("16".into()),
            ..sound()
        },
        Seen {
            identifier: Some(8),
            ..sound()
        },
        Seen {
            selinux: Some("default_t".into()),
            ..sound()
        },
        Seen {
            selinux: Some("postgresql_db_t".into()),
            ..sound()
        },
        Seen {
            running: Some(4711),
            outside_of: Some("pgsocle-postgresql@17-main.service".into()),
            ..sound()
        },
    ];
    let mut text = String::new();
    for seen in &cases {
        for aim in [Aim::Use, Aim::Stop, Aim::Remove] {
            let said = shown(aim, seen)
                .replace("fact Cluster(7)\n", "")
                .replace("fact Cluster(8)\n", "");
            let said = if said.is_empty() { "goes on\n" } else { &said };
            let line = format!("{aim:?}: {said}");
            text.push_str(&line);
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[test]
fn another_cluster_can_be_meant() {
    let other = Seen {
        identifier: Some(8),
        ..sound()
    };
    insta::assert_snapshot!(samples::shown(condition(Aim::Use, Some(8)).plan(&other)));
    let accepted = Seen {
        known: Some((8, "its record".into())),
        ..other
    };
    assert_eq!(
        samples::shown(condition(Aim::Use, Some(8)).plan(&accepted)),
        "fact Cluster(8)\n"
    );
    assert_eq!(
        samples::shown(condition(Aim::Use, Some(9)).plan(&sound())),
        "Conflict: the cluster of instance `17/main` has the system identifier 7, not 9\n\
         hint: mount or restore the one that is meant, or correct `system_identifier`; nothing was changed\n"
    );
}

#[test]
fn a_directory_that_cannot_be_looked_into() {
    let why = |uid, mode, enforcing| {
        let stat = stat(FileKind::Directory, uid, mode);
        why_unreadable("/srv/main/data".into(), &stat, &owner(), enforcing).map_or_else(
            || "as it came\n".to_owned(),
            |error| samples::shown(Err(error)),
        )
    };
    let text = [
        why(0, 0o700, false),
        why(POSTGRES, 0o100, false),
        why(POSTGRES, 0o700, false),
        // What SELinux denies looks like a lack of rights (EACCES), with rights enough.
        why(POSTGRES, 0o700, true),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn what_a_journal_remembers() {
    let end = |identifier: &str| {
        format!(r#"{{"time":"T{identifier}","event":"done","system_identifier":"{identifier}"}}"#)
    };
    let begin = |action: &str, object: &str| {
        format!(r#"{{"event":"begin","plan":[{{"action":"{action}","object":"{object}"}}]}}"#)
    };
    let main = "instance 17/main";
    for (lines, known) in [
        (vec![], None),
        (vec![end("7")], Some(7)),
        (vec![end("7"), end("8"), begin("alter", main)], Some(8)),
        (vec![end("7"), begin("drop", main)], None),
        (vec![end("7"), begin("create", main)], None),
        (vec![end("7"), begin("create", main), end("9")], Some(9)),
        // Forgotten, or another one adopted under the name.
        (vec![end("7"), begin("alter", "adoption 17/main")], None),
        (vec![end("7"), begin("alter", "adoption 17/mail")], Some(7)),
        (vec![end("7"), begin("create", "role ann")], Some(7)),
        (
            vec![end("7"), r#"{"event":"done"}"#.into(), "{".into()],
            Some(7),
        ),
        (vec![end("x")], None),
    ] {
        assert_eq!(
            remembered(lines.join("\n").as_bytes(), "17/main").map(|(known, _)| known),
            known,
            "{lines:?}"
        );
    }
}
