//! The grammar of the command line.

use super::*;

/// The exit code of a command line that is refused or answered before anything is opened; none when it would run.
fn refusal(line: &str) -> Option<(ErrorKind, String)> {
    let words = std::iter::once("pgsocle").chain(line.split_whitespace());
    let error = Arguments::try_parse_from(words).err()?;
    Some((error.kind(), error.to_string()))
}

#[test]
fn the_grammar_holds() {
    Arguments::command().debug_assert();
}

#[test]
fn accepted() {
    for line in [
        "--version",
        "instance list -o json -L DEBUG",
        "-L warning -l /tmp/x instance list --version 15",
        "instance create",
        "instance create main --version 15 --port 5433 --locale C --no-data-checksums --dry-run --diff",
        "instance apply -f - --max-impact restart --lock-timeout 5 -o json",
        "instance start 15/main other",
        "instance stop --all --non-interactive",
        "instance drop --non-interactive main",
        "instance exec main -- psql -c select",
        "instance exec main psql -l",
        "role -i 15/main create bob --login --in-role a --in-role b --no-inherit --dry-run",
        "role create bob -i main --password",
        "role create bob --password --login",
        "role alter bob --grant a --revoke b --connection-limit -1",
        "role drop bob eve --reassign-owned postgres",
        "database create app --owner bob --schema s --extension hstore",
        "database list -x postgres app",
        "database drop app --force",
        "history main -o json",
        "site-settings --no-defaults",
        "schema role",
        "role --schema",
        "ansible role",
    ] {
        assert_eq!(refusal(line), None, "{line}");
    }
}

#[test]
fn refused_lines() {
    for (line, kind) in [
        ("instance lits", ErrorKind::InvalidSubcommand),
        ("instance start a b --all", ErrorKind::ArgumentConflict),
        ("instance start a/b/c", ErrorKind::ValueValidation),
        ("instance exec main", ErrorKind::MissingRequiredArgument),
        ("instance create --port 70000", ErrorKind::ValueValidation),
        ("instance create --surname x", ErrorKind::UnknownArgument),
        ("instance apply", ErrorKind::MissingRequiredArgument),
        ("role create", ErrorKind::MissingRequiredArgument),
        ("role drop", ErrorKind::MissingRequiredArgument),
        ("instance list -o yaml", ErrorKind::InvalidValue),
        (
            "site-settings --defaults --no-defaults",
            ErrorKind::ArgumentConflict,
        ),
    ] {
        assert_eq!(refusal(line).map(|(kind, _)| kind), Some(kind), "{line}");
    }
}

/// What options say of themselves does not come in place of it.
#[test]
fn commands_say_what_they_do() {
    let root = built();
    let mut said = std::collections::BTreeMap::new();
    let is_own = |command: &&clap::Command| command.get_name() != "help";
    for noun in root.get_subcommands().filter(is_own) {
        for command in noun.get_subcommands().filter(is_own) {
            let name = format!("{} {}", noun.get_name(), command.get_name());
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_else(|| panic!("`{name}` says nothing"));
            if let Some(other) = said.insert((noun.get_name(), about.clone()), name.clone()) {
                panic!("`{name}` and `{other}` both say: {about}");
            }
        }
    }
}
