//! The manual page, made of what the commands say of themselves.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// `pgsocle(1)`, with every command that is not hidden.
pub fn page(root: &Command) -> String {
    let mut page = format!(
        ".TH PGSOCLE 1 \"\" \"pgsocle {}\" \"\"\n.SH NAME\npgsocle \\- PostgreSQL instances, their roles and their databases\n",
        env!("CARGO_PKG_VERSION")
    );
    page.push_str(".SH SYNOPSIS\n.B pgsocle\n.RI [ options ]\n.I command\n.RI [ arguments ]\n.SH DESCRIPTION\n");
    paragraph(&mut page, &text(root.get_about()));
    page.push_str(".SH OPTIONS\n");
    arguments(&mut page, root, shown);
    page.push_str(".SH COMMANDS\n");
    descend(&mut page, root, "pgsocle");
    page.push_str(EXIT);
    page
}

const EXIT: &str = ".SH EXIT STATUS\n.TP\n.B 0\nDone, whether something changed or not.\n.TP\n.B 1\nA fault: see the message.\n\
.TP\n.B 2\nUsage, bad input, an ambiguous or unknown instance.\n.TP\n.B 3\ninstance status: something does not run.\n\
.TP\n.B 70\nAn internal error.\n.SH FILES\n.TP\n.I settings.yaml\nThe settings of the site, in \\fBPGSOCLE_CONFIG_DIR\\fR, else \
\\fI$XDG_CONFIG_HOME/pgsocle\\fR, else \\fI/etc/pgsocle\\fR.\n";

fn descend(page: &mut String, group: &Command, above: &str) {
    let hidden = |command: &&Command| command.is_hide_set() || command.get_name() == "help";
    for command in group.get_subcommands().filter(|command| !hidden(command)) {
        let name = format!("{above} {}", command.get_name());
        let mut line = name.clone();
        for place in command.get_positionals() {
            let _ = write!(line, " {place}");
        }
        let _ = writeln!(page, ".SS {}", escaped(&line));
        paragraph(page, &text(command.get_about()));
        // What every command has is told once.
        arguments(page, command, |option| {
            shown(option) && !option.is_global_set() && option.get_id() != "help"
        });
        descend(page, command, &name);
    }
}

fn shown(argument: &Arg) -> bool {
    !argument.is_hide_set()
}

fn arguments(page: &mut String, command: &Command, wanted: impl Fn(&Arg) -> bool) {
    for argument in command.get_arguments().filter(|argument| wanted(argument)) {
        let mut name = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(_)) => format!("-{short}, {argument}"),
            _ => argument.to_string(),
        };
        if argument.is_positional() && argument.get_help().is_none() {
            continue;
        }
        // `-f, -f` of an option without a long name.
        if argument.get_long().is_none() {
            name = argument.to_string();
        }
        let mut help = text(argument.get_help());
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        if argument.get_action().takes_values() && !values.is_empty() {
            let _ = write!(help, " (one of {})", values.join(", "));
        }
        let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(&name), escaped(&help));
    }
}

fn paragraph(page: &mut String, text: &str) {
    let _ = writeln!(page, "{}", escaped(text));
}

fn text(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of text as roff has it: a hyphen that is one, and no request at its beginning.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_it() {
        let page = page(&super::super::built());
        for line in [
            ".SS pgsocle instance create [NAME]",
            ".SS pgsocle instance alter [[VERSION/]NAME]",
            ".B \\-\\-data\\-checksums",
            ".B \\-f, \\-\\-follow",
            ".SS pgsocle role drop <NAME>...",
            ".SS pgsocle completion <SHELL>",
            ".SH EXIT STATUS",
        ] {
            assert!(page.lines().any(|own| own == line), "{line}\n{page}");
        }
        for word in ["pgsocle dev", "pgsocle ansible", "pgsocle instance help"] {
            assert!(!page.contains(word), "{word}");
        }
        // Nothing that roff would take for a request of ours.
        let known = [".TH", ".SH", ".SS", ".TP", ".B", ".I", ".RI"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap_or_default();
            assert!(known.contains(&request), "{line}");
        }
    }

    #[test]
    fn text_that_roff_would_take_for_something_else() {
        for (plain, written) in [
            ("a-b", "a\\-b"),
            ("C:\\x", "C:\\ex"),
            (".TH", "\\&.TH"),
            ("'x", "\\&'x"),
        ] {
            assert_eq!(escaped(plain), written);
        }
    }
}
