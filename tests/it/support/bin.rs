//! Runs a program and says what must come of it: `Run::pgsocle().args(["role", "list"]).code(2).go()`.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The executable that cargo built for these tests.
pub fn executable() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pgsocle"))
}

/// One run to be. The environment is empty but for `PATH`, `LC_ALL=C` and what is added; standard input is empty.
#[derive(Debug)]
pub struct Run {
    /// The program and its arguments.
    argv: Vec<OsString>,
    stdin: Vec<u8>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    /// None: any.
    code: Option<i32>,
}

/// What came of it.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Run {
    /// The executable under test, as the user who runs the tests.
    pub fn pgsocle() -> Self {
        Self::program(executable())
    }

    pub fn program(program: impl AsRef<OsStr>) -> Self {
        Self::argv([program])
    }

    /// A whole command line; the program may be a launcher such as `setpriv`.
    pub fn argv(argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self {
            argv: argv.into_iter().map(|word| word.as_ref().into()).collect(),
            stdin: Vec::new(),
            env: Vec::new(),
            dir: None,
            code: Some(0),
        }
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().into());
        self
    }

    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.argv
            .extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// The later of two values for one name counts.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The exit code that is expected; 0 unless said.
    #[must_use]
    pub fn code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }

    /// Any exit code will do: the test looks at it itself.
    #[must_use]
    pub fn any_code(mut self) -> Self {
        self.code = None;
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// When the program cannot be started or ends with another exit code than expected.
    pub fn go(self) -> Output {
        self.start().wait()
    }

    /// Starts it, for tests that do something meanwhile.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(self) -> Started {
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env_clear()
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.argv[0].display()));
        let mut pipe = child.stdin.take().expect("standard input is a pipe");
        let stdin = self.stdin;
        // In a thread: a child that writes much before it has read all must not block both sides.
        // A child that does not read at all is no fault of the test.
        let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        Started {
            child,
            writer,
            argv: self.argv,
            code: self.code,
        }
    }

    /// Runs it and reads the one JSON document that it prints.
    pub fn json(self) -> Value {
        let output = self.go();
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {output:?}"))
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Started {
    child: std::process::Child,
    writer: std::thread::JoinHandle<()>,
    argv: Vec<OsString>,
    code: Option<i32>,
}

impl Started {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("look at the child").is_some()
    }

    /// # Panics
    /// When it ends with another exit code than expected.
    pub fn wait(self) -> Output {
        let output = self.child.wait_with_output().expect("wait for the child");
        self.writer.join().expect("write to the child");
        let output = Output {
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
            // A signal is what no test expects: negative, as a shell's `kill -l` would not say it.
            code: output.status.code().unwrap_or_else(|| {
                use std::os::unix::process::ExitStatusExt as _;
                -output.status.signal().unwrap_or(0)
            }),
        };
        if let Some(code) = self.code {
            assert_eq!(
                output.code, code,
                "exit code of {:?}\n--- stdout\n{}\n--- stderr\n{}",
                self.argv, output.stdout, output.stderr
            );
        }
        output
    }
}

#[test]
fn a_run_is_exactly_what_was_said() {
    let output = Run::program("sh")
        .args([
            "-c",
            "cat; echo \"$1 $CANARY ${HOME-none}\" >&2; exit 3",
            "sh",
        ])
        .arg("a b")
        .env("CANARY", "first")
        .env("CANARY", "second")
        .stdin("in\n")
        .code(3)
        .go();
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("in\n", "a b second none\n")
    );
}
