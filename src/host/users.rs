//! Users of this machine, asked of `getent` and `id`: name lookups through libc crash a static
//! executable on hosts whose name service has modules (docs/decisions/0002-static-glibc.md).

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

mod groups;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

use crate::fault;
use crate::settings::Caller;

/// A user as the name service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: Utf8PathBuf,
}

/// The effective user is root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The user of this process.
pub fn own() -> Result<User> {
    let uid = geteuid().as_raw();
    Ok(find(&uid.to_string())?.unwrap_or_else(|| User {
        // Containers run processes with numbers that no name belongs to.
        name: uid.to_string(),
        uid,
        gid: nix::unistd::getegid().as_raw(),
        home: "/".into(),
    }))
}

/// A user by name or number; none when there is no such user.
pub fn find(name: &str) -> Result<Option<User>> {
    Ok(getent("passwd", name)?.as_deref().and_then(parse))
}

/// The name of a group, by its number.
pub fn group(gid: u32) -> Result<String> {
    let line = getent("group", &gid.to_string())?;
    Ok(line
        .and_then(|line| line.split(':').next().map(str::to_owned))
        .unwrap_or_else(|| gid.to_string()))
}

fn getent(database: &str, key: &str) -> Result<Option<String>> {
    // /etc/passwd first, as nearly every name service does: most users are there, and it saves a process.
    if let Ok(content) = fs_err::read_to_string(format!("/etc/{database}")) {
        let field = if key.bytes().all(|byte| byte.is_ascii_digit()) {
            2
        } else {
            0
        };
        let found = content
            .lines()
            .find(|line| line.split(':').nth(field) == Some(key));
        if let Some(line) = found {
            return Ok(Some(line.to_owned()));
        }
    }
    let output = Command::new("getent")
        .args([database, key])
        .stdin(Stdio::null())
        .output();
    let output = output.context("run getent")?;
    Ok(output.status.success().then(|| {
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }))
}

/// A line of passwd(5).
fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    Some(User {
        name: fields.next()?.to_owned(),
        uid: fields.nth(1)?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
        home: fields.nth(1)?.into(),
    })
}

/// Gives up root for good: groups, then group, then user.
pub fn drop_to(user: &User) -> Result<()> {
    let groups: Vec<Gid> = groups::of(user)?.into_iter().map(Gid::from_raw).collect();
    let denied = |error| fault!(Denied, "cannot become user `{}`: {error}", user.name);
    setgroups(&groups).map_err(denied)?;
    setgid(Gid::from_raw(user.gid)).map_err(denied)?;
    setuid(Uid::from_raw(user.uid)).map_err(denied)
}

/// Whom the settings are resolved for. `environment` is that of the process, used only when the user is its own.
pub fn caller(user: &User, root: bool, environment: &[(String, String)]) -> Result<Caller> {
    let own = |name: &str| {
        let value = environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str());
        value
            .filter(|value| !root && value.starts_with('/'))
            .map(Utf8PathBuf::from)
    };
    let runtime =
        own("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", user.uid).into());
    Ok(Caller {
        user: user.name.clone(),
        group: group(user.gid)?,
        uid: user.uid,
        gid: user.gid,
        home: own("HOME").unwrap_or_else(|| user.home.clone()),
        config_home: own("XDG_CONFIG_HOME"),
        data_home: own("XDG_DATA_HOME"),
        runtime_dir: runtime.is_dir().then_some(runtime),
        root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        let user = User {
            name: "postgres".into(),
            uid: 101,
            gid: 104,
            home: "/var/lib/postgresql".into(),
        };
        assert_eq!(
            parse("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash"),
            Some(user)
        );
        assert_eq!(parse("broken:x:many"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn unknown_user_is_none() {
        assert_eq!(find("no-such-user-here").unwrap(), None);
        assert_eq!(find("0").unwrap().unwrap().name, "root");
    }
}
