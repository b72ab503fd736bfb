//! Files of root's, for a system user who may call sudo (`systemd.sudo` of the site settings).
//!
//! By `install`, `mv` and `rm`, so that sudoers can say what is allowed; a unit is never seen half written.

use anyhow::{Result, bail};

use super::Local;
use crate::fault;
use crate::host::{Command, exec};
use crate::plan::{Content, Step};
use crate::secret::Text;

/// Does a step on files through sudo, without a question.
pub(super) fn perform(local: &Local, step: &Step) -> Result<()> {
    for command in commands(step)? {
        exec::run(&local.caller, &command, local.lock.borrow().as_ref()).map_err(|error| {
            let user = &local.caller.user;
            fault!(
                Denied,
                "{error:#}";
                "sudoers must let `{user}` call `systemctl`, `systemd-tmpfiles`, `journalctl`, `install`, `mv` and `rm` without \
                 a password, or pgsocle is called as root (`become: true`)"
            )
        })?;
    }
    Ok(())
}

fn commands(step: &Step) -> Result<Vec<Command>> {
    let sudo = |words: &[&str]| Command::new("sudo").arg("-n").args(words.iter().copied());
    Ok(match step {
        Step::MakeDir { path, .. } => {
            vec![sudo(&["install", "-d", "-m", "0755", path.as_str()])]
        }
        Step::WriteFile {
            path,
            content: Content::Bytes(content),
            mode,
        } => {
            let (mode, new) = (format!("{mode:04o}"), format!("{path}.pgsocle-new"));
            let mut write = sudo(&["install", "-m", &mode, "/dev/stdin", &new]);
            write.stdin = Some(Text::from(String::from_utf8(content.clone())?));
            vec![write, sudo(&["mv", "-f", "-T", &new, path.as_str()])]
        }
        Step::Remove { path } => vec![sudo(&["rm", "-rf", "--", path.as_str()])],
        Step::RemoveEmptyDir { path } => vec![sudo(&["rm", "-d", "-f", "--", path.as_str()])],
        other => bail!("sudo does not do this: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sudoers_must_allow() {
        let shown = |step: &Step| -> Vec<String> {
            let commands = commands(step).unwrap();
            commands.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(&Step::make_dir("/u/x.service.d".into(), 0o755)),
            ["sudo -n install -d -m 0755 /u/x.service.d"]
        );
        let content = Content::Bytes(b"[Unit]\n".to_vec());
        assert_eq!(
            shown(&Step::write("/u/x.service".into(), content, 0o644)),
            [
                "sudo -n install -m 0644 /dev/stdin /u/x.service.pgsocle-new",
                "sudo -n mv -f -T /u/x.service.pgsocle-new /u/x.service",
            ]
        );
        assert_eq!(
            shown(&Step::Remove {
                path: "/u/x.service.d".into()
            }),
            ["sudo -n rm -rf -- /u/x.service.d"]
        );
        assert_eq!(
            shown(&Step::RemoveEmptyDir {
                path: "/u/x.service.d".into()
            }),
            ["sudo -n rm -d -f -- /u/x.service.d"]
        );
        assert!(commands(&Step::Disconnect).is_err());
    }
}
