#!/usr/bin/python
# Generated from the executable's own types: change these, then run `make shims`.
# Copyright: the pgsocle contributors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Manages a PostgreSQL instance with its roles and databases
description:
  - 'Manages a PostgreSQL instance with its roles and databases.'
  - 'Creates, configures, starts, stops and removes an instance, and converges the roles and databases given with it in the same run.'
  - 'What is left out is left as it is.'
  - 'Runs the C(pgsocle) executable on the target, which plans, reports and applies.'
version_added: 0.1.0
author:
  - the pgsocle contributors (!UNKNOWN)
extends_documentation_fragment:
  - socle.postgresql._attributes
  - socle.postgresql._attributes.changes
options:
  name:
    description:
      - 'Name, unique within one major version: letters, digits and underscores.'
    type: str
    required: true
  version:
    description:
      - 'Major version; the site''s C(postgresql.default_version) or the highest one installed unless given.'
      - 'Chosen at creation; refused when it would change.'
    type: str
  state:
    description:
      - 'Wanted run state.'
      - 'Where servers are systemd''s units, one that is to run starts at boot as well, and one that is to be C(stopped) does not.'
    type: str
    choices: [started, stopped, absent, present, restarted, reloaded, forgotten]
    default: started
  create:
    description:
      - 'Whether a missing instance is made; if not, it must exist.'
    type: bool
    default: true
  recreate:
    description:
      - 'Make the instance anew although traces say that it existed (its data directory may just not be mounted).'
    type: bool
    default: false
  adopt:
    description:
      - 'Make an existing cluster that others made (C(pg_createcluster), Red Hat''s packages, C(initdb)) the instance, as it lies and runs:
        no file is moved, nothing is restarted.'
      - 'What is an instance already stays one; nothing is ever created.'
    type: bool
    default: false
  datadir:
    description:
      - 'Data directory of the cluster to adopt; unless given, that of C(/etc/postgresql/VERSION/NAME), else
        C(/var/lib/pgsql/VERSION/data).'
    type: str
  config_file:
    description:
      - 'postgresql.conf of the cluster to adopt, where it is neither beside the data nor known to the server or to postgresql-common.'
    type: str
  port:
    description:
      - 'TCP port; at creation the one of the site''s template, else 5432.'
    type: int
  settings:
    description:
      - 'Parameters of postgresql.conf; null takes one away, those not listed are kept.'
      - 'C(shared_buffers) and C(effective_cache_size) may be a share of the memory, as V(25%).'
    type: dict
  settings_purge:
    description:
      - 'Makes O(settings) exact: what is neither listed, nor from initdb, the site''s template or a component, is taken away.'
    type: bool
    default: false
  data_checksums:
    description:
      - 'Page checksums; at creation as in the site settings unless given.'
      - 'They are switched while the server is down: a running one is stopped and started for it where O(restart_policy) or O(state) allow
        that, and refused otherwise.'
    type: bool
  locale:
    description:
      - 'Locale of the cluster; at creation that of the site settings unless given.'
      - 'Chosen at creation; refused when it would change.'
    type: str
  locale_provider:
    description:
      - 'Provider of the locale (C(icu) from PostgreSQL 15 on, C(builtin) from 17 on).'
      - 'Chosen at creation; refused when it would change.'
    type: str
    choices: [libc, icu, builtin]
  icu_locale:
    description:
      - 'Locale of the ICU provider, as V(en-US).'
      - 'Chosen at creation; refused when it would change.'
    type: str
  encoding:
    description:
      - 'Encoding of the cluster; at creation that of the site settings unless given.'
      - 'Chosen at creation; refused when it would change.'
    type: str
  auth:
    description:
      - 'Authentication methods written to C(pg_hba.conf) at creation.'
      - 'Chosen at creation; refused when it would change.'
    type: dict
    suboptions:
      local:
        description:
          - 'Method for local sockets.'
          - 'Chosen at creation; refused when it would change.'
        type: str
        choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
      host:
        description:
          - 'Method for TCP from this host.'
          - 'Chosen at creation; refused when it would change.'
        type: str
        choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
      hostssl:
        description:
          - 'Method for TLS connections, where the site''s template has a line for them.'
          - 'Chosen at creation; refused when it would change.'
        type: str
        choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
  surole_password:
    description:
      - 'Password of the superuser role.'
      - 'Never required: the tool comes in by peer authentication.'
    type: str
  replrole_password:
    description:
      - 'Password of the replication role (C(postgresql.replrole) of the site settings).'
    type: str
  restart_policy:
    description:
      - 'What is done about changes that only a restart brings into effect: settings, page checksums.'
    type: str
    choices: [never, when_required]
  restart_on_changes:
    description:
      - 'Restart when settings need it: true is O(restart_policy=when_required).'
    type: bool
  roles:
    description:
      - 'Roles to converge with the instance; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Name of the role.'
        type: str
        required: true
      state:
        description:
          - 'Whether the role is to be there.'
        type: str
        choices: [present, absent]
        default: present
      password:
        description:
          - 'Password in clear; it is compared with what the server has stored, and set only when it differs.'
        type: str
      encrypted_password:
        description:
          - 'Password already hashed (SCRAM-SHA-256 or MD5), stored as it is.'
        type: str
      update_password:
        description:
          - 'Whether a password of an existing role is compared and set, or only given at creation.'
        type: str
        choices: [always, on_create]
        default: always
      drop_owned:
        description:
          - 'With O(roles[].state=absent): drop everything that the role owns, its databases included.'
        type: bool
        default: false
      reassign_owned:
        description:
          - 'With O(roles[].state=absent): give everything that the role owns to this role.'
        type: str
      inherit:
        description:
          - 'Inherit the privileges of the roles it is a member of (INHERIT).'
        type: bool
      login:
        description:
          - 'May log in (LOGIN).'
        type: bool
      superuser:
        description:
          - 'Is a superuser (SUPERUSER).'
        type: bool
      createdb:
        description:
          - 'May create databases (CREATEDB).'
        type: bool
      createrole:
        description:
          - 'May create roles (CREATEROLE).'
        type: bool
      replication:
        description:
          - 'May start replication (REPLICATION).'
        type: bool
      bypassrls:
        description:
          - 'Bypasses row-level security (BYPASSRLS).'
        type: bool
      connection_limit:
        description:
          - 'How many sessions the role may have; -1 for no limit.'
        type: int
      valid_until:
        description:
          - 'When the password ends to be valid, as a date and time; C(infinity) for never.'
        type: str
      memberships:
        description:
          - 'Roles that the role is a member of; those not listed are kept.'
        type: list
        elements: dict
        suboptions:
          role:
            description:
              - 'The group role.'
            type: str
            required: true
          state:
            description:
              - 'Whether the role is to be a member.'
            type: str
            choices: [present, absent]
            default: present
      memberships_purge:
        description:
          - 'Makes O(roles[].memberships) exact: those not listed are revoked.'
        type: bool
        default: false
      settings:
        description:
          - 'Parameters set for the role''s sessions (ALTER ROLE … SET); null takes one away, those not listed are kept.'
        type: dict
      settings_purge:
        description:
          - 'Makes O(roles[].settings) exact: those not listed are taken away.'
        type: bool
        default: false
      comment:
        description:
          - 'Comment on the role; an empty one takes it away.'
        type: str
      hba_records:
        description:
          - 'Entries of C(pg_hba.conf) for the role; those not listed are kept.'
        type: list
        elements: dict
        suboptions:
          connection:
            description:
              - 'Network side of the entry; left out, the entry is for local sockets.'
            type: dict
            suboptions:
              type:
                description:
                  - 'Connection type.'
                type: str
                choices: [host, hostssl, hostnossl, hostgssenc, hostnogssenc]
                default: host
              address:
                description:
                  - 'Client host name, address or range.'
                type: str
                required: true
              netmask:
                description:
                  - 'Client network mask, where the address has no length of its own.'
                type: str
          database:
            description:
              - 'Database names, separated by commas.'
            type: str
            default: all
          method:
            description:
              - 'Authentication method.'
            type: str
            required: true
            choices: [trust, reject, md5, password, scram-sha-256, sspi, ident, pam, ldap, radius, peer, gss, cert, oauth]
          state:
            description:
              - 'Whether the entry is to be there.'
            type: str
            choices: [present, absent]
            default: present
      pgpass:
        description:
          - 'Keep an entry with the role''s password in the password file of the site (C(postgresql.auth.passfile)), or remove it.'
        type: bool
  tablespaces:
    description:
      - 'Tablespaces to converge with the instance; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Name of the tablespace.'
        type: str
        required: true
      state:
        description:
          - 'Whether the tablespace is to be there; it is dropped only when nothing is in it, and its directory stays.'
        type: str
        choices: [present, absent]
        default: present
      location:
        description:
          - 'Directory of the tablespace, outside the data directory; needed to make it.'
          - 'One that is missing is made where the user of the servers may.'
          - 'Chosen at creation; refused when it would change.'
        type: str
      owner:
        description:
          - 'Owner of the tablespace.'
        type: str
      settings:
        description:
          - 'Parameters of the planner for what lies in it (C(random_page_cost), C(effective_io_concurrency), …); null takes one away,
            those not listed are kept.'
        type: dict
      comment:
        description:
          - 'Comment on the tablespace; an empty one takes it away.'
        type: str
      deletion_protection:
        description:
          - 'Whether O(tablespaces[].state=absent) is refused; off unless it was ever given.'
          - 'It cannot be lifted in the call that drops.'
          - 'It is kept in the database C(postgres), so that standbys have it too.'
        type: bool
  databases:
    description:
      - 'Databases to converge with the instance; those not listed are kept.'
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Name of the database.'
        type: str
        required: true
      state:
        description:
          - 'Whether the database is to be there.'
        type: str
        choices: [present, absent]
        default: present
      force_drop:
        description:
          - 'With O(databases[].state=absent): end the sessions that use it (DROP DATABASE … WITH (FORCE)).'
        type: bool
        default: false
      keep_data:
        description:
          - 'With O(databases[].state=absent): set the database aside instead of dropping it, as V(NAME_dropped_1), without connections.'
        type: bool
        default: false
      deletion_protection:
        description:
          - 'Whether O(databases[].state=absent) is refused; off unless it was ever given.'
          - 'It cannot be lifted in the call that drops.'
          - 'It is kept in the database (C(ALTER DATABASE … SET pgsocle.deletion_protection)), so that standbys have it too.'
        type: bool
      owner:
        description:
          - 'Owner of the database.'
        type: str
      encoding:
        description:
          - 'Encoding of the database, as V(UTF8).'
          - 'Chosen at creation; refused when it would change.'
        type: str
      locale:
        description:
          - 'Locale of the database; it is made from template0 when this differs from template1''s.'
          - 'Chosen at creation; refused when it would change.'
        type: str
      locale_provider:
        description:
          - 'Provider of the locale (C(icu) from PostgreSQL 15 on, C(builtin) from 17 on).'
          - 'Chosen at creation; refused when it would change.'
        type: str
        choices: [libc, icu, builtin]
      icu_locale:
        description:
          - 'Locale of the ICU provider, as V(de-DE-x-icu) or V(en-US).'
          - 'Chosen at creation; refused when it would change.'
        type: str
      tablespace:
        description:
          - 'Tablespace; changing it moves the database, which is refused while sessions use it.'
        type: str
      connection_limit:
        description:
          - 'How many sessions the database may have; -1 for no limit.'
        type: int
      settings:
        description:
          - 'Parameters set for sessions of the database (ALTER DATABASE … SET); null takes one away, those not listed are kept.'
        type: dict
      settings_purge:
        description:
          - 'Makes O(databases[].settings) exact: those not listed are taken away.'
        type: bool
        default: false
      comment:
        description:
          - 'Comment on the database; an empty one takes it away.'
        type: str
      schemas:
        description:
          - 'Schemas; those not listed are kept.'
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - 'Name of the schema.'
            type: str
            required: true
          state:
            description:
              - 'Whether the schema is to be there; it is dropped only when nothing is in it, unless O(databases[].schemas[].cascade) is
                set.'
            type: str
            choices: [present, absent]
            default: present
          owner:
            description:
              - 'Owner of the schema; at creation the owner of the database unless given.'
            type: str
          cascade:
            description:
              - 'With O(databases[].schemas[].state=absent): drop what is in it and what depends on it too.'
            type: bool
            default: false
      extensions:
        description:
          - 'Extensions; those not listed are kept.'
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - 'Name of the extension.'
            type: str
            required: true
          schema:
            description:
              - 'Schema of its objects.'
            type: str
          version:
            description:
              - 'Version; at creation the default one unless given.'
            type: str
          state:
            description:
              - 'Whether the extension is to be there; it is dropped only when nothing depends on it, unless
                O(databases[].extensions[].cascade) is set.'
            type: str
            choices: [present, absent]
            default: present
          cascade:
            description:
              - 'With O(databases[].extensions[].state=absent): drop what depends on it too.'
            type: bool
            default: false
      publications:
        description:
          - 'Logical publications; not supported in this version.'
        type: list
        elements: raw
      subscriptions:
        description:
          - 'Logical subscriptions; not supported in this version.'
        type: list
        elements: raw
      clone:
        description:
          - 'Copy another database into this one; not supported in this version.'
        type: raw
  start_temporarily:
    description:
      - 'Start a stopped instance for the time of this run (without TCP listener) when roles, tablespaces or databases are given, and stop
        it again.'
    type: bool
    default: false
  timeout:
    description:
      - 'How long to wait for the server to start or to stop, in seconds.'
      - 'Default: 60.'
      - 'A server that needs longer, for a recovery or its last checkpoint, goes on by itself; the run fails and says so.'
    type: int
  drop_on_error:
    description:
      - 'Undo a creation that fails.'
    type: bool
    default: true
  deletion_protection:
    description:
      - 'Whether a declared O(state=absent) is refused; as the site settings have it unless it was ever given.'
      - 'It cannot be lifted in the call that drops.'
    type: bool
  system_identifier:
    description:
      - 'The system identifier of the cluster that is meant, as V(pg_controldata) tells it.'
      - 'To be given once when another cluster than before has been put in its place, which is refused otherwise.'
    type: str
  keep_data:
    description:
      - 'With O(state=absent): set the data aside instead of deleting them, beside their place, as V(data.dropped-1).'
    type: bool
    default: false
  delete_dumps:
    description:
      - 'With O(state=absent): delete the dumps of its databases too.'
    type: bool
    default: false
  delete_backups:
    description:
      - 'With O(state=absent): delete its stanza with all backups too, where no other instance is in it.'
    type: bool
    default: false
  max_impact:
    description:
      - 'Refuse the whole plan when a change has a greater impact than this.'
    type: str
    choices: [none, reload, restart, rewrite, destructive]
  lock_timeout:
    description:
      - 'How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.'
    type: int
  standby:
    description:
      - 'Streaming standby; not supported in this version.'
    type: raw
  replication_slots:
    description:
      - 'Physical replication slots; not supported in this version.'
    type: list
    elements: raw
  temboard:
    description:
      - 'temBoard agent; not supported in this version.'
    type: raw
  powa:
    description:
      - 'PoWA; not supported in this version.'
    type: raw
  prometheus:
    description:
      - 'C(postgres_exporter); not supported in this version.'
    type: raw
  patroni:
    description:
      - 'Membership in a Patroni cluster; not supported in this version.'
    type: raw
  backup_method:
    description:
      - 'What archives the instance and takes its backups; O(pgbackrest) or O(basebackup) say how.'
      - 'Left out, that stays as it is.'
    type: str
    choices: [pgbackrest, basebackup]
  pgbackrest:
    description:
      - 'Archiving and backups by pgBackRest; left out, they stay as they are.'
    type: dict
    suboptions:
      stanza:
        description:
          - 'Name of the stanza: of all backups of one cluster and its standbys.'
        type: str
      password:
        description:
          - 'Password of the backup role (C(postgresql.backuprole) of the site settings).'
          - 'Never required: pgBackRest comes in by peer authentication.'
        type: str
      take_over:
        description:
          - 'Go on in a stanza that holds backups of another cluster, which stay in it.'
          - 'To be given once.'
        type: bool
        default: false
      schedule:
        description:
          - 'When backups are taken by themselves, by type; C(never) takes one away.'
          - 'At first as the site settings say.'
        type: dict
        suboptions:
          full:
            description:
              - 'Full backups.'
            type: str
          diff:
            description:
              - 'What has changed since the last full one.'
            type: str
          incr:
            description:
              - 'What has changed since the last one.'
            type: str
      state:
        description:
          - 'Whether the instance is archived and backed up.'
          - 'With C(absent) it is no longer; its backups stay.'
        type: str
        choices: [present, absent]
        default: present
  basebackup:
    description:
      - 'Archiving and backups by PostgreSQL''s own programs; left out, they stay as they are.'
    type: dict
    suboptions:
      stanza:
        description:
          - 'Name of the stanza: of all backups of one cluster.'
          - 'At first that of the instance with its major: C(17-main).'
        type: str
      take_over:
        description:
          - 'Go on in a stanza that holds backups of another cluster, which stay in it.'
          - 'To be given once.'
        type: bool
        default: false
      schedule:
        description:
          - 'When backups are taken by themselves, by type; C(never) takes one away.'
          - 'At first as the site settings say.'
        type: dict
        suboptions:
          full:
            description:
              - 'Full backups.'
            type: str
          diff:
            description:
              - 'What has changed since the last full one.'
            type: str
          incr:
            description:
              - 'What has changed since the last one.'
            type: str
      state:
        description:
          - 'Whether the instance is archived and backed up.'
          - 'With C(absent) it is no longer; its backups stay.'
        type: str
        choices: [present, absent]
        default: present
"""

EXAMPLES = r"""
- name: An instance with a role and a database of its own
  socle.postgresql.instance:
    name: main
    version: "15"
    port: 5433
    settings:
      shared_buffers: 25%
      work_mem: 16MB
    roles:
      - name: bob
        login: true
        password: "{{ vault_bob_password }}"
    databases:
      - name: shop
        owner: bob

- name: A setting taken away, and a restart if the server needs one
  socle.postgresql.instance:
    name: main
    settings:
      shared_buffers: 1GB
      work_mem: null
    restart_policy: when_required

- name: Nothing that cuts sessions, or the task fails before anything is done
  socle.postgresql.instance:
    name: main
    settings:
      log_connections: true
    max_impact: reload

- name: The instance, gone
  socle.postgresql.instance:
    name: main
    version: "15"
    state: absent

- name: A cluster that postgresql-common made becomes an instance, as it lies and runs
  socle.postgresql.instance:
    name: main
    version: "15"
    adopt: true
    state: present
    settings:
      work_mem: 16MB

- name: The same of a cluster whose name has a hyphen
  socle.postgresql.instance:
    name: my_app
    adopt: true
    datadir: /var/lib/postgresql/15/my-app
    state: present

- name: The adopted instance is let go of; its server runs on
  socle.postgresql.instance:
    name: my_app
    version: "15"
    state: forgotten
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["create role `bob`"]
plan:
  description: The same for programs.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: What is done to the object.
      returned: always
      type: str
      sample: create
    object:
      description: The object.
      returned: always
      type: str
      sample: role bob
    impact:
      description: How much it disturbs those who use the instance, from V(none) over V(reload), V(restart) and V(rewrite) to V(destructive).
      returned: always
      type: str
      sample: none
    summary:
      description: The sentence in RV(changes).
      returned: always
      type: str
      sample: create role `bob`
  sample: [{"action": "create", "object": "role bob", "impact": "none", "summary": "create role `bob`"}]
change_state:
  description: What became of the object, V(created), V(changed) or V(dropped).
  returned: when something changed
  type: str
  sample: created
diff:
  description: What is managed, before and after.
  returned: in diff mode
  type: list
  elements: dict
undetermined:
  description: What could not be known, as the catalogs of a stopped server.
  returned: always
  type: list
  elements: str
  sample: []
pending_restart:
  description: Whether a setting waits for a restart of the server.
  returned: always
  type: bool
  sample: false
pending_restart_settings:
  description: The settings that wait for a restart of the server.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "shared_buffers", "running": "128MB", "configured": "1GB"}]
instance:
  description: The instance as it is now, or would be; without secrets.
  returned: always
  type: dict
  sample:
    name: main
    version: "15"
    state: started
    hold: null
    port: 5433
    settings: {"work_mem": "16MB"}
    data_checksums: true
    locale: C.UTF-8
    locale_provider: libc
    encoding: UTF8
    pending_restart: false
    pending_restart_settings: []
    socket_directory: /run/pgsocle/postgresql
    data_directory: /srv/pgsocle/srv/pgsql/15/main/data
    wal_directory: /srv/pgsocle/srv/pgsql/15/main/wal
executable:
  description: The executable that did the work, with its path and version, and the sha256 of one that the collection has brought.
  returned: success
  type: dict
  sample: {"path": "/var/lib/pgsocle/9f86d0…/pgsocle", "version": "0.1.0", "sha256": "9f86d0…"}
"""

from ansible_collections.socle.postgresql.plugins.module_utils._binary import run

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["started", "stopped", "absent", "present", "restarted", "reloaded", "forgotten"],
        "default": "started",
    },
    "create": {"type": "bool", "default": True},
    "recreate": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
    "datadir": {"type": "str"},
    "config_file": {"type": "str"},
    "port": {"type": "int"},
    "settings": {"type": "dict"},
    "settings_purge": {"type": "bool", "default": False},
    "data_checksums": {"type": "bool"},
    "locale": {"type": "str"},
    "locale_provider": {"type": "str", "choices": ["libc", "icu", "builtin"]},
    "icu_locale": {"type": "str"},
    "encoding": {"type": "str"},
    "auth": {
        "type": "dict",
        "options": {
            "local": {
                "type": "str",
                "choices": [
                    "trust",
                    "reject",
                    "md5",
                    "password",
                    "scram-sha-256",
                    "sspi",
                    "ident",
                    "pam",
                    "ldap",
                    "radius",
                    "peer",
                    "gss",
                    "cert",
                    "oauth",
                ],
            },
            "host": {
                "type": "str",
                "choices": [
                    "trust",
                    "reject",
                    "md5",
                    "password",
                    "scram-sha-256",
                    "sspi",
                    "ident",
                    "pam",
                    "ldap",
                    "radius",
                    "peer",
                    "gss",
                    "cert",
                    "oauth",
                ],
            },
            "hostssl": {
                "type": "str",
                "choices": [
                    "trust",
                    "reject",
                    "md5",
                    "password",
                    "scram-sha-256",
                    "sspi",
                    "ident",
                    "pam",
                    "ldap",
                    "radius",
                    "peer",
                    "gss",
                    "cert",
                    "oauth",
                ],
            },
        },
    },
    "surole_password": {"type": "str", "no_log": True},
    "replrole_password": {"type": "str", "no_log": True},
    "restart_policy": {"type": "str", "choices": ["never", "when_required"]},
    "restart_on_changes": {"type": "bool"},
    "roles": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "password": {"type": "str", "no_log": True},
            "encrypted_password": {"type": "str", "no_log": True},
            "update_password": {
                "type": "str",
                "choices": ["always", "on_create"],
                "default": "always",
                "no_log": False,
            },
            "drop_owned": {"type": "bool", "default": False},
            "reassign_owned": {"type": "str"},
            "inherit": {"type": "bool"},
            "login": {"type": "bool"},
            "superuser": {"type": "bool"},
            "createdb": {"type": "bool"},
            "createrole": {"type": "bool"},
            "replication": {"type": "bool"},
            "bypassrls": {"type": "bool"},
            "connection_limit": {"type": "int"},
            "valid_until": {"type": "str"},
            "memberships": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "role": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
            },
            "memberships_purge": {"type": "bool", "default": False},
            "settings": {"type": "dict"},
            "settings_purge": {"type": "bool", "default": False},
            "comment": {"type": "str"},
            "hba_records": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "connection": {
                        "type": "dict",
                        "options": {
                            "type": {
                                "type": "str",
                                "choices": ["host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"],
                                "default": "host",
                            },
                            "address": {"type": "str", "required": True},
                            "netmask": {"type": "str"},
                        },
                    },
                    "database": {"type": "str", "default": "all"},
                    "method": {
                        "type": "str",
                        "required": True,
                        "choices": [
                            "trust",
                            "reject",
                            "md5",
                            "password",
                            "scram-sha-256",
                            "sspi",
                            "ident",
                            "pam",
                            "ldap",
                            "radius",
                            "peer",
                            "gss",
                            "cert",
                            "oauth",
                        ],
                    },
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
            },
            "pgpass": {"type": "bool"},
        },
    },
    "tablespaces": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "location": {"type": "str"},
            "owner": {"type": "str"},
            "settings": {"type": "dict"},
            "comment": {"type": "str"},
            "deletion_protection": {"type": "bool"},
        },
    },
    "databases": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force_drop": {"type": "bool", "default": False},
            "keep_data": {"type": "bool", "default": False},
            "deletion_protection": {"type": "bool"},
            "owner": {"type": "str"},
            "encoding": {"type": "str"},
            "locale": {"type": "str"},
            "locale_provider": {"type": "str", "choices": ["libc", "icu", "builtin"]},
            "icu_locale": {"type": "str"},
            "tablespace": {"type": "str"},
            "connection_limit": {"type": "int"},
            "settings": {"type": "dict"},
            "settings_purge": {"type": "bool", "default": False},
            "comment": {"type": "str"},
            "schemas": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "owner": {"type": "str"},
                    "cascade": {"type": "bool", "default": False},
                },
            },
            "extensions": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "schema": {"type": "str"},
                    "version": {"type": "str"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "cascade": {"type": "bool", "default": False},
                },
            },
            "publications": {"type": "list", "elements": "raw", "no_log": True},
            "subscriptions": {"type": "list", "elements": "raw", "no_log": True},
            "clone": {"type": "raw", "no_log": True},
        },
    },
    "start_temporarily": {"type": "bool", "default": False},
    "timeout": {"type": "int"},
    "drop_on_error": {"type": "bool", "default": True},
    "deletion_protection": {"type": "bool"},
    "system_identifier": {"type": "str"},
    "keep_data": {"type": "bool", "default": False},
    "delete_dumps": {"type": "bool", "default": False},
    "delete_backups": {"type": "bool", "default": False},
    "max_impact": {"type": "str", "choices": ["none", "reload", "restart", "rewrite", "destructive"]},
    "lock_timeout": {"type": "int"},
    "standby": {"type": "raw", "no_log": True},
    "replication_slots": {"type": "list", "elements": "raw", "no_log": True},
    "temboard": {"type": "raw", "no_log": True},
    "powa": {"type": "raw", "no_log": True},
    "prometheus": {"type": "raw", "no_log": True},
    "patroni": {"type": "raw", "no_log": True},
    "backup_method": {"type": "str", "choices": ["pgbackrest", "basebackup"]},
    "pgbackrest": {
        "type": "dict",
        "options": {
            "stanza": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "take_over": {"type": "bool", "default": False},
            "schedule": {
                "type": "dict",
                "options": {
                    "full": {"type": "str"},
                    "diff": {"type": "str"},
                    "incr": {"type": "str"},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "basebackup": {
        "type": "dict",
        "options": {
            "stanza": {"type": "str"},
            "take_over": {"type": "bool", "default": False},
            "schedule": {
                "type": "dict",
                "options": {
                    "full": {"type": "str"},
                    "diff": {"type": "str"},
                    "incr": {"type": "str"},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
}


def main():
    run("instance", ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
