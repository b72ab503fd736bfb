use proptest::prelude::*;

use super::*;
use crate::pg::auth_file::expand::{Source, expand};
use camino::Utf8Path;

struct Only(Vec<u8>);

impl Source for Only {
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "/hba").then(|| self.0.clone()))
    }

    fn list(&self, _: &Utf8Path) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}

fn list(file: &str, major: u32) -> Vec<Listed<Record>> {
    expand("/hba".into(), &Only(file.as_bytes().to_vec()), major)
}

/// `user database address [ssl|gss|replication]`
fn connection(text: &str) -> Connection {
    let words: Vec<&str> = text.split(' ').collect();
    Connection {
        user: words[0].into(),
        database: words[1].into(),
        address: words[2].parse().ok(),
        encryption: match words.get(3) {
            Some(&"ssl") => Encryption::Ssl,
            Some(&"gss") => Encryption::Gss,
            _ => Encryption::None,
        },
        replication: words.get(3) == Some(&"replication"),
    }
}

fn known() -> Known {
    Known {
        major: 16,
        groups: Some(["ann", "staff", "crew"].map(ToOwned::to_owned).into()),
        expressions: [
            (("^an".to_owned(), "ann".to_owned()), true),
            (("^an".to_owned(), "shop".to_owned()), false),
            (("^s.op$".to_owned(), "shop".to_owned()), true),
        ]
        .into(),
        interfaces: vec![
            ("10.1.2.3".parse().unwrap(), "255.255.0.0".parse().unwrap()),
            ("fd00::1".parse().unwrap(), "ffff:ffff::".parse().unwrap()),
        ],
    }
}

fn verdict(line: &str, asked: &str, known: &Known) -> Verdict {
    let list = list(line, known.major);
    let [listed] = list.as_slice() else {
        panic!("{line}: {list:?}")
    };
    judge(listed.record.as_ref().unwrap(), &connection(asked), known)
}

fn differs(why: &str) -> Verdict {
    Verdict::Differs(why.to_owned())
}

#[test]
fn types_and_addresses() {
    use Verdict::{Matches, Unknown};
    for (line, asked, expected) in [
        ("local all all trust", "ann shop local", Matches),
        (
            "local all all trust",
            "ann shop 10.0.0.1",
            differs("it is for local connections"),
        ),
        (
            "host all all all trust",
            "ann shop local",
            differs("it is for TCP connections"),
        ),
        (
            "hostssl all all all trust",
            "ann shop ::1",
            differs("it is for connections with SSL"),
        ),
        ("hostssl all all all trust", "ann shop ::1 ssl", Matches),
        (
            "hostnossl all all all trust",
            "ann shop ::1 ssl",
            differs("it is for connections without SSL"),
        ),
        ("hostnossl all all all trust", "ann shop ::1 gss", Matches),
        (
            "hostgssenc all all all trust",
            "ann shop ::1 ssl",
            differs("it is for connections encrypted by GSSAPI"),
        ),
        ("hostgssenc all all all trust", "ann shop ::1 gss", Matches),
        (
            "hostnogssenc all all all trust",
            "ann shop ::1 gss",
            differs("it is for connections not encrypted by GSSAPI"),
        ),
        ("hostnogssenc all all all trust", "ann shop ::1", Matches),
        // Addresses.
        (
            "host all all 10.0.0.0/8 trust",
            "ann shop 10.255.0.1",
            Matches,
        ),
        (
            "host all all 10.9.9.9 255.0.0.0 trust",
            "ann shop 10.255.0.1",
            Matches,
        ),
        (
            "host all all 10.0.0.0/8 trust",
            "ann shop 11.0.0.1",
            differs("address 11.0.0.1 is not in `10.0.0.0/8`"),
        ),
        (
            "host all all 0.0.0.0/0 trust",
            "ann shop ::ffff:10.0.0.1",
            differs("address ::ffff:10.0.0.1 is not in `0.0.0.0/0`"),
        ),
        (
            "host all all ::/0 trust",
            "ann shop 10.0.0.1",
            differs("address 10.0.0.1 is not in `::/0`"),
        ),
        ("host all all fd00::/8 trust", "ann shop fdff::7", Matches),
        ("host all all samehost trust", "ann shop 10.1.2.3", Matches),
        (
            "host all all samehost trust",
            "ann shop 10.1.2.4",
            differs("address 10.1.2.4 is not in `samehost`"),
        ),
        ("host all all samenet trust", "ann shop 10.1.99.4", Matches),
        (
            "host all all samenet trust",
            "ann shop fd00:0:7::1",
            Matches,
        ),
        (
            "host all all samenet trust",
            "ann shop 10.2.0.1",
            differs("address 10.2.0.1 is not in `samenet`"),
        ),
        (
            "host all all .Example.org trust",
            "ann shop 10.1.2.4",
            Unknown(
                "whether the name of 10.1.2.4, which the server looks up, is `.Example.org`".into(),
            ),
        ),
        // Not the keyword.
        (
            "host all all \"all\" trust",
            "ann shop 10.1.2.4",
            Unknown("whether the name of 10.1.2.4, which the server looks up, is `\"all\"`".into()),
        ),
        // What is certain is enough.
        (
            "host all bob example.org trust",
            "ann shop 10.1.2.4",
            differs("user `ann` is not `bob`"),
        ),
    ] {
        assert_eq!(verdict(line, asked, &known()), expected, "{line} / {asked}");
    }
}

#[test]
fn databases() {
    use Verdict::Matches;
    for (line, asked, expected) in [
        ("local shop,\"all\" all trust", "ann all local", Matches),
        (
            "local \"all\" all trust",
            "ann shop local",
            differs("database `shop` is not `\"all\"`"),
        ),
        ("local sameuser all trust", "ann ann local", Matches),
        (
            "local sameuser all trust",
            "ann staff local",
            differs("database `staff` is not `sameuser`"),
        ),
        ("local samerole all trust", "ann staff local", Matches),
        ("local samegroup all trust", "ann ann local", Matches),
        (
            "local samerole all trust",
            "ann shop local",
            differs("database `shop` is not `samerole`"),
        ),
        (
            "local replication all trust",
            "ann replication local",
            differs("database `replication` is not `replication`"),
        ),
        (
            "local \"replication\" all trust",
            "ann replication local",
            Matches,
        ),
        (
            "local replication all trust",
            "ann x local replication",
            Matches,
        ),
        (
            "local all all trust",
            "ann x local replication",
            differs("it is not for `replication`"),
        ),
        (
            "local \"replication\" all trust",
            "ann x local replication",
            differs("it is not for `replication`"),
        ),
        ("local /^s.op$ all trust", "ann shop local", Matches),
        ("local \"/^s.op$\" all trust", "ann shop local", Matches),
        ("local +staff all trust", "ann +staff local", Matches),
    ] {
        assert_eq!(verdict(line, asked, &known()), expected, "{line} / {asked}");
    }
}

#[test]
fn users() {
    use Verdict::{Matches, Unknown};
    for (line, asked, expected) in [
        ("local all +crew trust", "ann shop local", Matches),
        (
            "local all \"+crew\" trust",
            "ann shop local",
            differs("user `ann` is not `\"+crew\"`"),
        ),
        ("local all +ann trust", "ann shop local", Matches),
        (
            "local all +other,bob trust",
            "ann shop local",
            differs("user `ann` is not `+other,bob`"),
        ),
        ("local all bob,/^an trust", "ann shop local", Matches),
        ("local all sameuser trust", "sameuser shop local", Matches),
        (
            "local all Ann trust",
            "ann shop local",
            differs("user `ann` is not `Ann`"),
        ),
        (
            "local all /x trust",
            "ann shop local",
            Unknown("whether `/x` fits, which only the running server knows".into()),
        ),
    ] {
        assert_eq!(verdict(line, asked, &known()), expected, "{line} / {asked}");
    }
    // Expressions are those of PostgreSQL 16.
    let old = Known {
        major: 15,
        ..known()
    };
    assert_eq!(
        verdict("local all /^an trust", "/^an shop local", &old),
        Matches
    );
    // Of a stopped server nobody knows who is in which group.
    let stopped = Known {
        groups: None,
        ..known()
    };
    assert_eq!(
        verdict("local all +crew trust", "ann shop local", &stopped),
        Unknown("whether `+crew` fits, which only the running server knows".into())
    );
    assert_eq!(
        verdict("local all +crew,ann trust", "ann shop local", &stopped),
        Matches
    );
}

#[test]
fn the_first_that_matches() {
    let file = "# c\nlocal all bob trust\njunk\nhost all all example.org md5\nhost all +staff samenet reject\nhost all all all md5\n";
    let list = list(file, 16);
    let explained = |asked: &str| {
        let explanation = explain(&list, &connection(asked), &known());
        let uncertain: Vec<usize> = explanation.uncertain().map(|at| list[at].line).collect();
        let seen: Vec<usize> = explanation
            .verdicts
            .iter()
            .map(|(at, _)| list[*at].line)
            .collect();
        (explanation.decides.map(|at| list[at].line), seen, uncertain)
    };
    assert_eq!(
        explained("ann shop 10.1.0.9"),
        (Some(5), vec![2, 4, 5], vec![4])
    );
    assert_eq!(
        explained("ann shop 10.9.0.9"),
        (Some(6), vec![2, 4, 5, 6], vec![4])
    );
    assert_eq!(
        explained("ann shop local"),
        (None, vec![2, 4, 5, 6], vec![])
    );
    assert_eq!(explained("bob shop local"), (Some(2), vec![2], vec![]));
}

#[test]
fn what_only_the_server_can_answer() {
    let list = list(
        "local /a,b,/c all,/d trust\nlocal /a /d trust\nlocal \"+a\" +b trust\n",
        16,
    );
    let asked = expressions(&list, &connection("ann shop local"));
    let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
    assert_eq!(
        asked,
        [pair("a", "shop"), pair("c", "shop"), pair("d", "ann")]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_file_is_explained(bytes: Vec<u8>, user: String, database: String, address: Option<IpAddr>) {
        let list: Vec<Listed<Record>> = expand("/hba".into(), &Only(bytes), 18);
        let connection = Connection { user, database, address, encryption: Encryption::None, replication: false };
        explain(&list, &connection, &Known::default());
        expressions(&list, &connection);
    }

    /// What a record decides does not depend on those below it, nor on those above it that do not match.
    #[test]
    fn records_that_do_not_match_do_not_matter(
        lines in proptest::collection::vec("(local (all|shop|sameuser|replication) (all|ann|\\+staff|bob) trust|host(ssl|nossl|) (all|shop) (all|ann|bob) (all|10\\.0\\.0\\.0/8|samehost|::1/128) md5)\n", 1..8),
        asked in "(ann|bob) (shop|ann) (local|10\\.1\\.2\\.3|::1)( ssl)?",
    ) {
        let (connection, known) = (connection(&asked), known());
        let all = list(&lines.concat(), 16);
        let explanation = explain(&all, &connection, &known);
        let matching: Vec<usize> = (0..all.len())
            .filter(|at| judge(all[*at].record.as_ref().unwrap(), &connection, &known) == Verdict::Matches)
            .collect();
        prop_assert_eq!(explanation.decides, matching.first().copied());
        let kept: Vec<Listed<Record>> = matching.iter().map(|at| all[*at].clone()).collect();
        prop_assert_eq!(explain(&kept, &connection, &known).decides, (!kept.is_empty()).then_some(0));
    }
}
