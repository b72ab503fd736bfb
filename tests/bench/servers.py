"""A site of its own below a temporary directory, with real servers, which goes with the run."""

import glob
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

from measure import output, run

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
USER = "postgres"
MACHINE = os.uname().machine


def bindirs():
    """Of the server programs of this machine, the newest first."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return sorted((pathlib.Path(path).parent for path in found), key=lambda path: -int(path.parent.name))


class Site:
    def __init__(self, executable, quick, pglift, ansible):
        """`pglift` and `ansible` are virtual environments, or none."""
        self.quick = quick
        self.ansible = ansible
        # On a disk: what is synced costs what it costs elsewhere.
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="pgsocle-bench.", dir="/var/tmp"))
        os.chmod(self.work, 0o755)
        self.bindir = bindirs()[0]
        self.version = self.bindir.parent.name
        self.pgsocle = str(self.work / "pgsocle")
        shutil.copy(executable, self.pgsocle)
        self.ports = self._ports()
        self.etc = self.work / "etc"
        self.pglift = pglift and f"{pglift}/bin/pglift"
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "HOME": pwd.getpwnam(USER).pw_dir,
            "PGSOCLE_CONFIG_DIR": str(self.etc),
            "PGLIFT_CONFIG_DIR": str(self.etc),
        }

    def prepare(self):
        """Makes what can fail: by now there is something to be taken away."""
        self.etc.mkdir()
        for directory in ("prefix", "run", "floor"):
            (self.work / directory).mkdir()
            shutil.chown(self.work / directory, USER, USER)
        self.configure()
        # pglift keeps what it needs of its own beside ours.
        if self.pglift:
            run([self.pglift, "--non-interactive", "site-configure", "install"], user=USER, env=self.environment)

    def configure(self, **more):
        """Writes the settings, and sets the site up by them."""
        settings = {
            "prefix": str(self.work / "prefix"),
            "run_prefix": str(self.work / "run"),
            "postgresql": {
                "default_version": self.version,
                "auth": {"passfile": str(self.work / "prefix/pgpass"), "local": "peer"},
            },
            **more,
        }
        # As pglift reads it too.
        (self.etc / "settings.yaml").write_text(json.dumps(settings))
        self.ours("site-configure", "install")

    def _ports(self):
        start = 24000 + os.getpid() % 4000
        for port in range(start, start + 4000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    yield port

    def port(self):
        return next(self.ports)

    # -- programs -------------------------------------------------------------------------------------------------------

    def ours(self, *args, **more):
        """As root, as operators call it: becoming the system user is part of the cost."""
        return run([self.pgsocle, "--non-interactive", *args], env=self.environment, **more)

    def others(self, *args, **more):
        """`pglift instance …`, as the user that it wants to be called as."""
        return run([self.pglift, "--non-interactive", "instance", *args], user=USER, env=self.environment, **more)

    def size(self, full, quick):
        return quick if self.quick else full

    def collections(self):
        """The checkout as the collection that it is, with the executable under test inside, and the others."""
        place = self.work / "collections/ansible_collections/socle/postgresql"
        if not place.exists():
            place.mkdir(parents=True)
            for name in ("plugins", "meta", "galaxy.yml"):
                (place / name).symlink_to(CHECKOUT / name)
            carried = place / "libexec" / MACHINE
            carried.mkdir(parents=True)
            shutil.copy(self.pgsocle, carried)
            digest = hashlib.sha256((carried / "pgsocle").read_bytes()).hexdigest()
            (carried / "pgsocle.sha256").write_text(f"{digest}  pgsocle\n")
        return self.work / "collections"

    def floor(self, argv, **more):
        return run(argv, user=USER, env=self.environment, **more)

    def shell(self, script, *args, **more):
        """Several programs in a row, as a shell runs them. `$bin` is where PostgreSQL's are."""
        return self.floor(["/bin/sh", "-ec", script, "sh", *map(str, args)], **more)

    def program(self, name):
        return str(self.bindir / name)

    def tell(self, *args):
        """What ours prints, for preparing."""
        return output([self.pgsocle, "--non-interactive", *args], env=self.environment)

    def file(self, name, content):
        """A file that the servers' user can read."""
        path = self.work / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    # -- instances ------------------------------------------------------------------------------------------------------

    def instance(self, name, settings=None):
        """A running one, made by ours."""
        instance = Instance(self, name, self.port())
        instance.apply(settings={"shared_buffers": "64MB", "max_connections": 120, **(settings or {})})
        return instance

    def directory(self, name):
        return self.work / "prefix/srv/pgsql" / self.version / name / "data"

    def close(self):
        """Stops every server of the site and takes everything away, whatever has happened."""
        for pidfile in glob.glob(f"{self.work}/**/postmaster.pid", recursive=True):
            subprocess.run(
                [self.program("pg_ctl"), "stop", "-s", "-m", "immediate", "-D", os.path.dirname(pidfile)],
                user=USER,
                group=USER,
                extra_groups=[],
                cwd="/",
                check=False,
                capture_output=True,
            )
        shutil.rmtree(self.work, ignore_errors=True)


class Instance:
    def __init__(self, site, name, port):
        self.site, self.name, self.port = site, name, port
        self.directory = site.directory(name)
        self.socket = str(site.work / "run/postgresql")

    def apply(self, **more):
        manifest = {"name": self.name, "version": self.site.version, "port": self.port, **more}
        self.site.ours("instance", "apply", "-f", self.site.file(f"{self.name}.json", manifest))

    def psql(self, *args, database="postgres"):
        """The command line of a session; as little as psql can do."""
        return [
            self.site.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1",
            "-h", self.socket, "-p", str(self.port), "-U", USER, "-d", database, *args,
        ]

    def sql(self, statements):
        """For preparing."""
        return output(self.psql(), user=USER, env=self.site.environment, stdin=statements)

    def status(self):
        return [self.site.program("pg_ctl"), "status", "-D", str(self.directory)]
