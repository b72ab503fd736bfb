"""What is measured: each job with its floor, which does the same with PostgreSQL's own programs, and with the others.

A side is a function without arguments that prepares what it needs, unmeasured, and returns the cost of the job alone.
"""

import concurrent.futures
import dataclasses
import hashlib
import hmac
import json
import os
import pathlib
import time
from collections.abc import Callable

from measure import Cost, run, total
from servers import USER, Instance

JOBS = []


@dataclasses.dataclass
class Sides:
    """`pglift` and `community` where they do the same job; the first round is enough of one that takes minutes."""

    floor: Callable
    ours: Callable
    pglift: Callable = None
    community: Callable = None
    pglift_once: bool = False


@dataclasses.dataclass
class Job:
    title: str
    floor: str
    sides: Callable
    # At most so many times the floor, or so many seconds more, whichever is more; or so large.
    ratio: float = None
    more: float = None
    bytes: int = None
    # Kilobytes resident.
    resident: int = None


def job(title, floor, **limits):
    def add(sides):
        JOBS.append(Job(title, floor, sides, **limits))
        return sides

    return add


@job("`pgsocle --version`", "`/bin/true`", more=0.002)
def version(site):
    def often(*argv):
        costs = [run(argv, env=site.environment) for turn in range(20)]
        cost = total(costs)
        return Cost(cost.wall / len(costs), cost.processor / len(costs))

    return Sides(lambda: often("/bin/true"), lambda: often(site.pgsocle, "--version"), lambda: often(site.pglift, "--version"))


# -- instances ------------------------------------------------------------------------------------------------------------

MAKE = """bin=$1 data=$2 wal=$3 conf=$4
"$bin/initdb" -D "$data" --waldir="$wal" --username=postgres --auth-local=peer --auth-host=reject --no-instructions \
  --encoding=UTF8 --locale=C >/dev/null
cp "$conf/postgresql.conf" "$conf/pg_hba.conf" "$conf/pg_ident.conf" "$data"
"$bin/pg_ctl" -w -s -D "$data" -l "$data/start.log" start"""
DROP = '"$1/pg_ctl" stop -s -m immediate -D "$2" && rm -r "$2" "$3"'


class Floor:
    """A cluster of the same configuration, made with PostgreSQL's own programs."""

    def __init__(self, site):
        self.site = site
        self.data, self.wal = site.work / "floor/data", site.work / "floor/wal"
        self.model = site.instance("model")
        site.ours("instance", "stop", "model")

    def make(self):
        return self.site.shell(MAKE, self.site.bindir, self.data, self.wal, self.model.directory)

    def drop(self):
        return self.site.shell(DROP, self.site.bindir, self.data, self.wal)

    def close(self):
        self.site.ours("instance", "drop", "model")


def creation(site):
    floor = Floor(site)
    port = site.port()
    options = ["create", "fresh", f"--port={port}", f"--version={site.version}"]
    manifest = {"name": "fresh", "version": site.version, "port": port, "settings": {"shared_buffers": "64MB", "max_connections": 120}}
    path = site.file("fresh.json", manifest)
    return floor, {
        "ours": (lambda: site.ours("instance", "apply", "-f", path), lambda: site.ours("instance", "drop", "fresh")),
        "pglift": (lambda: site.others(*options), lambda: site.others("drop", "fresh")),
    }


@job("`instance create`", "`initdb` + `pg_ctl -w start`, same options", ratio=1.10)
def create(site):
    floor, makers = creation(site)

    def cost(make, drop):
        made = make()
        drop()
        return made

    return Sides(
        lambda: cost(floor.make, floor.drop), lambda: cost(*makers["ours"]), lambda: cost(*makers["pglift"]),
    )


@job("`instance drop`", "`pg_ctl stop -m immediate` + `rm`", ratio=1.3)
def drop(site):
    floor, makers = creation(site)

    def cost(make, drop):
        make()
        return drop()

    return Sides(
        lambda: cost(floor.make, floor.drop), lambda: cost(*makers["ours"]), lambda: cost(*makers["pglift"]),
    )


@job("`instance apply`, nothing to change", "`pg_ctl status` + one psql reading pg_settings", ratio=2, resident=15_000)
def unchanged(site):
    instance = site.instance("main", {"work_mem": "8MB"})
    manifest = site.work / "main.json"
    query = " ".join(f"'{word}'" for word in instance.psql("-c", "SELECT * FROM pg_catalog.pg_settings"))
    script = f'"$1" status -D "$2" && {query}'

    def ours():
        cost = site.ours("instance", "apply", "-f", str(manifest))
        # In a run of its own: what tells of it takes longer than the job.
        return dataclasses.replace(cost, resident=site.ours("instance", "apply", "-f", str(manifest), resident=True).resident)

    return Sides(
        lambda: site.shell(script, site.program("pg_ctl"), instance.directory), ours, lambda: site.others("apply", "-f", str(manifest)),
    )


@job("`instance list` of 50 instances", "50 x `pg_ctl status`", ratio=0.5)
def listing(site):
    """Of servers that run: copies of one, each small."""
    small = {"shared_buffers": "1MB", "max_connections": 10, "autovacuum": False, "max_worker_processes": 0}
    first = site.instance("list1", {**small, "min_wal_size": "32MB"})
    instances = [first]
    site.ours("instance", "stop", first.name)
    for number in range(2, 1 + site.size(50, quick=5)):
        copy = Instance(site, f"list{number}", site.port())
        instances.append(copy)
        site.shell(
            'mkdir -p "$2" && cp -a "$1" "$2/data" && cp -a "$(readlink "$1/pg_wal")" "$2/wal"\n'
            'ln -sfn "$2/wal" "$2/data/pg_wal"\n'
            'sed -i -e "s/^port = .*/port = $4/" -e "s/list1/$3/g" "$2/data/postgresql.conf"',
            first.directory, copy.directory.parent, copy.name, copy.port,
        )
    for instance in instances:
        site.shell('"$1" start -s -w -D "$2" -l "$2/start.log"', site.program("pg_ctl"), instance.directory)
    script = 'bin=$1; shift; for data; do "$bin" status -D "$data"; done'
    return Sides(
        lambda: site.shell(script, site.program("pg_ctl"), *(instance.directory for instance in instances)),
        lambda: site.ours("instance", "list"),
        lambda: site.others("list"),
    )


@job("`pgconf set` of a reloadable setting", "psql: ALTER SYSTEM + reload", ratio=2)
def pgconf(site):
    instance = site.instance("conf")
    manifests = [site.file(f"conf{n}.json", {"name": "conf", "version": site.version, "settings": {"work_mem": f"{n}MB"}}) for n in (5, 6)]
    turn = {"floor": 0, "ours": 0, "pglift": 0}
    has_pgconf = "pgconf" in site.tell("--help")

    def value(side):
        turn[side] += 1
        return turn[side] % 2

    def floor():
        # Another parameter: what ALTER SYSTEM says is above what is said in postgresql.conf.
        statement = f"ALTER SYSTEM SET maintenance_work_mem = '{65 + value('floor')}MB'"
        return site.floor(instance.psql("-c", statement, "-c", "SELECT pg_catalog.pg_reload_conf()"))

    def ours():
        number = value("ours")
        if has_pgconf:
            return site.ours("pgconf", "-i", "conf", "set", f"work_mem={5 + number}MB")
        return site.ours("instance", "apply", "-f", manifests[number])

    def pglift():
        return run([site.pglift, "pgconf", "-i", "conf", "set", f"log_min_duration_statement={5 + value('pglift')}s"], user=USER, env=site.environment)

    return Sides(floor, ours, pglift)


# -- roles ----------------------------------------------------------------------------------------------------------------


def verifications(passwords, rounds=4096):
    """SCRAM-SHA-256 of each password (RFC 5802), spread over the cores, by OpenSSL."""
    salt = os.urandom(16)

    def verify(password):
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
        hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        hmac.digest(salted, b"Server Key", "sha256")

    start, before = time.perf_counter(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(verify, passwords))
    return Cost(time.perf_counter() - start, time.process_time() - before)


def roles(site, name, more=None):
    """An instance, and a manifest with a thousand roles in it."""
    instance = site.instance(name)
    specs = [{"name": f"role{n:04}", "login": True, "connection_limit": 5, **(more(n) if more else {})} for n in range(site.size(1000, quick=20))]
    path = site.file(f"{name}-roles.json", {"name": name, "version": site.version, "roles": specs})
    return instance, specs, path


def reading(instance, site):
    return site.floor(instance.psql("-c", "SELECT * FROM pg_catalog.pg_authid"))


@job("1,000 roles without plain passwords, nothing to change, one call", "one psql reading pg_authid", ratio=3)
def roles_unchanged(site):
    instance, dummy, path = roles(site, "roles")
    site.ours("instance", "apply", "-f", path)
    return Sides(
        lambda: reading(instance, site),
        lambda: site.ours("instance", "apply", "-f", path),
        lambda: site.others("apply", "-f", path),
        pglift_once=True,
    )


@job("the same with plain passwords", "that, plus 1,000 SCRAM verifications over the cores", ratio=1.3)
def passwords_unchanged(site):
    instance, specs, path = roles(site, "passwords", lambda n: {"password": f"password of role {n}"})
    site.ours("instance", "apply", "-f", path)
    return Sides(
        lambda: total([reading(instance, site), verifications([spec["password"] for spec in specs])]),
        lambda: site.ours("instance", "apply", "-f", path),
    )


@job("creating 1,000 roles", "one psql session with the same statements", ratio=1.5)
def roles_made(site):
    instance, specs, path = roles(site, "newroles")
    statements = "".join(f'CREATE ROLE {spec["name"]} LOGIN CONNECTION LIMIT 5;\n' for spec in specs)
    session = site.file("newroles.sql", statements)

    def fresh(make):
        names = ", ".join(spec["name"] for spec in specs)
        instance.sql(f"SET client_min_messages = error; DROP ROLE IF EXISTS {names}; CHECKPOINT")
        return make()

    return Sides(
        lambda: fresh(lambda: site.floor(instance.psql("-f", session))),
        lambda: fresh(lambda: site.ours("instance", "apply", "-f", path)),
        lambda: fresh(lambda: site.others("apply", "-f", path)),
        pglift_once=True,
    )


# -- databases ------------------------------------------------------------------------------------------------------------


def databases(site, name, inner):
    instance = site.instance(name)
    specs = [{"name": f"database{n:03}", **inner} for n in range(site.size(100, quick=4))]
    path = site.file(f"{name}-databases.json", {"name": name, "version": site.version, "databases": specs})
    site.ours("instance", "apply", "-f", path)
    query = instance.psql("-c", "SELECT * FROM pg_catalog.pg_database")
    return instance, specs, path, query


@job("100 databases, nothing to change", "one psql reading pg_database", ratio=3)
def databases_unchanged(site):
    dummy, dummy, path, query = databases(site, "bases", {})
    return Sides(
        lambda: site.floor(query),
        lambda: site.ours("instance", "apply", "-f", path),
        lambda: site.others("apply", "-f", path),
        pglift_once=True,
    )


@job("100 databases with inner objects, nothing to change", "that, plus 100 psql connections", ratio=1.2)
def inner_unchanged(site):
    inner = {"schemas": [{"name": "app"}], "extensions": [{"name": "plpgsql"}]}
    instance, specs, path, query = databases(site, "inner", inner)
    each = instance.psql("-c", "SELECT 1", database="$name")
    script = "for name; do " + " ".join(f'"{word}"' for word in each) + "; done"
    return Sides(
        lambda: total([site.floor(query), site.shell(script, *(spec["name"] for spec in specs))]),
        lambda: site.ours("instance", "apply", "-f", path),
        lambda: site.others("apply", "-f", path),
        pglift_once=True,
    )


# -- backups --------------------------------------------------------------------------------------------------------------

PGBACKREST = "/usr/bin/pgbackrest"


class Backups:
    """An instance with a gigabyte in it, and the stanza of its backups."""

    def __init__(self, site):
        self.site = site
        repository = {"mode": "path", "path": str(site.work / "prefix/backups"), "retention": {"full": 1}}
        site.configure(pgbackrest={"execpath": PGBACKREST, "repository": repository})
        self.instance = site.instance("data")
        # Before anything is archived: the WAL of it is nobody's business.
        self.instance.sql(
            "CREATE TABLE entry (id bigint PRIMARY KEY, word text);\n"
            f"INSERT INTO entry SELECT number, lpad(number::text, 65) FROM generate_series(1, {site.size(8_500_000, quick=1000)}) AS number;\n"
            "VACUUM ANALYZE entry"
        )
        self.instance.apply(pgbackrest={"stanza": "data"}, restart_policy="when_required")

    def pgbackrest(self, *options):
        configuration = self.site.work / "prefix/etc/pgbackrest"
        return [PGBACKREST, f"--config-path={configuration}", "--stanza=data", *options]

    def take(self):
        return self.site.ours("instance", "backup", "data", "--type", "full")

    def restore(self, directory, datadir, *options):
        """The command with the options that ours gives."""
        fetch = " ".join(self.pgbackrest(f"--pg1-path={datadir}", "archive-get"))
        recovery = f'--recovery-option=restore_command={fetch} %f "%p"'
        return self.pgbackrest(f"--pg1-path={directory}", recovery, *options, "restore")


@job("`instance backup` of 1 GB", "`pgbackrest backup`, same options", ratio=1.05, more=0.5)
def backup(site):
    if not os.path.exists(PGBACKREST):
        return None
    backups = Backups(site)
    return Sides(lambda: site.floor(backups.pgbackrest("--type=full", "--start-fast", "backup")), backups.take)


# As ours does, the new data beside the old ones, which go last.
RESTORE = '''bin=$1 data=$2 wal=$3 socket=$4 port=$5; shift 5
mkdir -m 700 "$data.new" "$wal.new"
"$@"
mv "$data" "$data.old" && mv "$wal" "$wal.old"
mv "$data.new" "$data" && mv "$wal.new" "$wal"
ln -sfn "$wal" "$data/pg_wal"
"$bin/pg_ctl" start -s -w -D "$data" -l "$data/start.log"
until [ "$("$bin/psql" -XAtq -h "$socket" -p "$port" -d postgres -c 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.02; done
rm -r "$data.old" "$wal.old"'''


@job("`instance restore` of 1 GB", "`pgbackrest restore`, same options, + `pg_ctl -w start` + end of recovery", ratio=1.05, more=0.5)
def restore(site):
    if not os.path.exists(PGBACKREST):
        return None
    backups = Backups(site)
    backups.take()
    instance = backups.instance
    data = instance.directory
    wal = pathlib.Path(os.readlink(data / "pg_wal"))
    command = backups.restore(
        f"{data}.new", data, "--type=immediate", "--target-action=promote", f"--link-map=pg_wal={wal}.new",
    )

    def stopped(restored):
        site.ours("instance", "stop", "data")
        return restored()

    return Sides(
        lambda: stopped(lambda: site.shell(RESTORE, site.bindir, data, wal, instance.socket, instance.port, *command)),
        lambda: stopped(lambda: site.ours("instance", "restore", "data", "--target-immediate")),
    )


# As ours does: out of the way of others, with little memory.
PROOF = '''bin=$1 place=$2; shift 2
mkdir -m 700 "$place" "$place/data"
"$@"
: >"$place/postgresql.conf"
: >"$place/pg_ident.conf"
echo 'local all all trust' >"$place/pg_hba.conf"
set -- "-c config_file=$place/postgresql.conf -c hba_file=$place/pg_hba.conf -c ident_file=$place/pg_ident.conf" \
  "-c listen_addresses='' -c unix_socket_directories=$place -c port=5432 -c archive_mode=off -c hot_standby=off" \
  "-c autovacuum=off -c shared_buffers=64MB -c max_connections=20"
"$bin/pg_ctl" start -s -w -t 600 -D "$place/data" -l "$place/log" -o "$*"
until grep -q ready "$place/data/postmaster.pid"; do sleep 0.02; done
"$bin/pg_amcheck" -h "$place" -p 5432 -w --all --install-missing
"$bin/pg_ctl" stop -s -m immediate -D "$place/data"
rm -r "$place"'''


@job("`instance backup-test` of 1 GB", "`pgbackrest restore` + recovery + `pg_amcheck --all` by hand", ratio=1.15)
def proof(site):
    if not os.path.exists(PGBACKREST):
        return None
    backups = Backups(site)
    backups.take()
    place = site.work / "floor/place"
    options = (f"--tablespace-map-all={place}/tablespaces", "--archive-mode=off")
    command = backups.restore(place / "data", place / "data", *options)
    return Sides(
        lambda: site.shell(PROOF, site.bindir, place, *command),
        lambda: site.ours("instance", "backup-test", "data"),
    )


# -- the collection -------------------------------------------------------------------------------------------------------


@job("an Ansible task, nothing to change (slope over a loop of 50)", "`ansible.builtin.ping`", ratio=0.15)
def task(site):
    if site.ansible is None:
        return None
    instance = site.instance("task")
    # The collection's modules connect as who runs them: let root in as well.
    with open(instance.directory / "pg_ident.conf", "a", encoding="utf-8") as file:
        file.write("pgsocle root postgres\n")
    instance.sql("CREATE ROLE clerk LOGIN; SELECT pg_catalog.pg_reload_conf()")
    length = site.size(50, quick=3)
    environment = {
        **site.environment,
        "HOME": str(site.work),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(site.collections()),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }
    tasks = {
        "floor": {"ansible.builtin.ping": {}},
        "ours": {"socle.postgresql.role": {"executable": site.pgsocle, "instance": f"{site.version}/task", "name": "clerk", "login": True}},
        "community": {
            "community.postgresql.postgresql_user": {
                "login_unix_socket": instance.socket, "login_port": instance.port, "login_user": USER, "name": "clerk", "role_attr_flags": "LOGIN",
            }
        },
    }

    def play(side, count):
        loop = {"name": side, **tasks[side], "loop": list(range(count))}
        variables = {"ansible_python_interpreter": str(pathlib.Path(site.ansible) / "bin/python")}
        content = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": [loop]}]
        path = site.file(f"{side}-{count}.yml", json.dumps(content))
        return run([f"{site.ansible}/bin/ansible-playbook", path], env=environment)

    def slope(side):
        def measured():
            one, many = play(side, 1), play(side, 1 + length)
            return Cost((many.wall - one.wall) / length, (many.processor - one.processor) / length)

        return measured

    return Sides(slope("floor"), slope("ours"), community=slope("community"))


@job("executable", "-", bytes=8_000_000)
def executable(site):
    return os.path.getsize(site.pgsocle)
