//! Programs that only pretend: first in `PATH`, they answer what the test says and remember how they were called.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A directory of fake programs.
#[derive(Debug)]
pub struct FakeBin {
    dir: PathBuf,
}

/// How a fake program was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub args: Vec<String>,
    pub stdin: String,
    /// `NAME=value`, sorted.
    pub env: Vec<String>,
}

/// What a fake program says to arguments (joined by spaces) that match `pattern`, in which `*` stands for anything.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub pattern: &'a str,
    pub stdout: &'a str,
    pub stderr: &'a str,
    pub code: i32,
}

impl<'a> Answer<'a> {
    pub fn ok(pattern: &'a str, stdout: &'a str) -> Self {
        Self {
            pattern,
            stdout,
            stderr: "",
            code: 0,
        }
    }

    pub fn fails(pattern: &'a str, stderr: &'a str, code: i32) -> Self {
        Self {
            pattern,
            stdout: "",
            stderr,
            code,
        }
    }
}

impl FakeBin {
    /// Makes the directory `fakebin` in `dir`. Its records may be written by any user: the executable changes its own.
    pub fn new(dir: &Path) -> Self {
        let dir = dir.join("fakebin");
        for (path, mode) in [(dir.clone(), 0o755), (dir.join(".calls"), 0o777)] {
            std::fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        Self { dir }
    }

    /// Adds a program. The first answer that matches counts; where none does, it exits 97 and says so.
    #[must_use]
    pub fn program(self, name: &str, answers: &[Answer<'_>]) -> Self {
        let calls = self.dir.join(".calls");
        let mut script = format!(
            "#!/bin/sh\numask 0\nn=0\nuntil mkdir '{calls}/{name}.'$n 2>/dev/null; do n=$((n+1)); done\ncall='{calls}/{name}.'$n\n\
             [ $# = 0 ] || printf '%s\\0' \"$@\" >\"$call/args\"\nenv -0 >\"$call/env\"\ncat >\"$call/stdin\"\ncase \"$*\" in\n",
            calls = calls.display()
        );
        for (index, answer) in answers.iter().enumerate() {
            let texts = [("out", answer.stdout), ("err", answer.stderr)];
            let [out, err] = texts.map(|(stream, text)| {
                let path = calls.join(format!("{name}-{index}.{stream}"));
                std::fs::write(&path, text).unwrap();
                path
            });
            let pattern: String = answer
                .pattern
                .chars()
                .map(|c| match c {
                    '*' => "*".to_owned(),
                    c => format!("\\{c}"),
                })
                .collect();
            let _ = writeln!(
                script,
                "{pattern}) cat '{}'; cat '{}' >&2; exit {} ;;",
                out.display(),
                err.display(),
                answer.code
            );
        }
        let _ = write!(
            script,
            "esac\necho \"fake {name}: no answer to: $*\" >&2\nexit 97\n"
        );
        let path = self.dir.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A value for `PATH`: the fakes before everything else.
    pub fn path(&self) -> String {
        format!(
            "{}:{}",
            self.dir.display(),
            std::env::var("PATH").unwrap_or_default()
        )
    }

    /// Every call of a program until now, in order.
    pub fn calls(&self, name: &str) -> Vec<Call> {
        (0..u32::MAX)
            .map(|n| self.dir.join(format!(".calls/{name}.{n}")))
            .take_while(|call| call.exists())
            .map(|call| {
                let text = |file: &str| {
                    String::from_utf8(std::fs::read(call.join(file)).unwrap_or_default()).unwrap()
                };
                let list = |file: &str| {
                    text(file)
                        .split_terminator('\0')
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                let mut env = list("env");
                env.sort();
                Call {
                    args: list("args"),
                    stdin: text("stdin"),
                    env,
                }
            })
            .collect()
    }
}

#[test]
fn a_fake_answers_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let fakes = FakeBin::new(dir.path()).program(
        "systemctl",
        &[
            Answer::ok("show -p * a.service", "ActiveState=active\n"),
            Answer::fails("is-active *", "no (it's)\n", 3),
        ],
    );
    let run = |args: &[&str], code| {
        super::bin::Run::program("systemctl")
            .args(args)
            .env("PATH", fakes.path())
            .env("CANARY", "c")
            .stdin("text")
            .code(code)
            .go()
    };
    assert_eq!(
        run(&["show", "-p", "x y", "a.service"], 0).stdout,
        "ActiveState=active\n"
    );
    assert_eq!(run(&["is-active", "b"], 3).stderr, "no (it's)\n");
    assert_eq!(
        run(&["stop"], 97).stderr,
        "fake systemctl: no answer to: stop\n"
    );
    let calls = fakes.calls("systemctl");
    assert_eq!(
        calls
            .iter()
            .map(|call| call.args.clone())
            .collect::<Vec<_>>(),
        [
            vec!["show", "-p", "x y", "a.service"],
            vec!["is-active", "b"],
            vec!["stop"]
        ]
    );
    assert_eq!(calls[0].stdin, "text");
    assert!(calls[0].env.contains(&"CANARY=c".to_owned()));
    assert_eq!(fakes.calls("loginctl"), []);
}
