//! File systems that should be mounted above a path, and are not.

use camino::{Utf8Path, Utf8PathBuf};

/// The deepest mount point of fstab(5) that leads to `path` and is not among the mounts of proc(5).
/// What is mounted by hand (`noauto`) or on access (`x-systemd.automount`) is nobody's promise.
pub fn unmounted(fstab: &str, mounts: &str, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mounted: Vec<Utf8PathBuf> = points(mounts).map(|(point, _)| point).collect();
    points(fstab)
        .filter(|(point, options)| {
            let kept = ["noauto", "x-systemd.automount"]
                .iter()
                .all(|option| !options.split(',').any(|own| own == *option));
            kept && *point != "/" && path.starts_with(point) && !mounted.contains(point)
        })
        .map(|(point, _)| point)
        .max_by_key(|point| point.as_str().len())
}

/// The mount point that a path lies on, when it is mounted for reading only. Of two at one place, the later lies above.
pub fn read_only(mounts: &str, path: &Utf8Path) -> Option<Utf8PathBuf> {
    points(mounts)
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.as_str().len())
        .filter(|(_, options)| options.split(',').any(|option| option == "ro"))
        .map(|(point, _)| point)
}

/// Mount points with their options: the second and the fourth field of both tables.
fn points(table: &str) -> impl Iterator<Item = (Utf8PathBuf, &str)> {
    table
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let point = fields.next()?.replace(r"\040", " ");
            Some((point.into(), fields.nth(1).unwrap_or_default()))
        })
        .filter(|(point, _): &(Utf8PathBuf, &str)| point.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_for_reading_only() {
        let mounts = "/dev/sda / ext4 rw,relatime 0 0\n/dev/sdb /srv xfs ro,relatime 0 0\n/dev/sdc /srv/pg\\040data xfs rw 0 0\n\
            /dev/sdd /mnt ext4 rw,errors=remount-ro 0 0\n/dev/sde /twice ext4 rw 0 0\n/dev/sde /twice ext4 ro 0 0\n";
        for (path, expected) in [
            ("/srv/pgsql/15/main/data", Some("/srv")),
            ("/srv/pg data/15/main/data", None),
            ("/mnt/15", None),
            ("/var/lib", None),
            ("/twice/15", Some("/twice")),
        ] {
            assert_eq!(
                read_only(mounts, path.into()).as_deref(),
                expected.map(Utf8Path::new),
                "{path}"
            );
        }
    }

    #[test]
    fn what_should_be_mounted() {
        let fstab = "# <file system> <mount point> …\nUUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\n\
            /dev/sdb /srv xfs defaults 0 0\n/dev/sdc /srv/pg\\040data xfs defaults 0 0\n/dev/sdd /mnt xfs noauto 0 0\n\
            /dev/sde /auto xfs x-systemd.automount,nofail 0 0\nshort\n";
        let mounts = "/dev/sda / ext4 rw 0 0\n/dev/sdb /srv xfs rw 0 0\n";
        for (mounts, path, expected) in [
            (mounts, "/srv/pg data/15/main", Some("/srv/pg data")),
            (mounts, "/srv/pgsql/15/main", None),
            (
                "/dev/sda / ext4 rw 0 0\n",
                "/srv/pgsql/15/main",
                Some("/srv"),
            ),
            ("", "/srv/pg data/15", Some("/srv/pg data")),
            ("", "/srvx/15", None),
            ("", "/mnt/15", None),
            ("", "/auto/15", None),
            ("", "/var/lib", None),
        ] {
            assert_eq!(
                unmounted(fstab, mounts, path.into()).as_deref(),
                expected.map(Utf8Path::new),
                "{path}"
            );
        }
    }
}
