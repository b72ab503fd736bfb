#!/bin/sh
# A cluster as PGDG's packages for Red Hat have it: its programs in /usr/pgsql-15, its unit as they bring it. Their `PGDATA`
# is /var/lib/pgsql/15/data; administrators who want another give it by a drop-in, as here.
set -eu
ln -s lib/postgresql/15 /usr/pgsql-15
install -d -o postgres -g postgres -m 700 /srv/pgsql /srv/pgsql/15
setpriv --reuid postgres --regid postgres --init-groups /usr/pgsql-15/bin/initdb --auth peer -E UTF8 --locale C.UTF-8 -D /srv/pgsql/15/data
cat >>/srv/pgsql/15/data/postgresql.conf <<CONF
port = 5434
unix_socket_directories = '/run/postgresql, /tmp'
log_destination = 'stderr'
logging_collector = on
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
CONF
cat >/usr/lib/systemd/system/postgresql-15.service <<UNIT
[Unit]
Description=PostgreSQL 15 database server
After=syslog.target network-online.target
[Service]
Type=notify
User=postgres
Group=postgres
Environment=PGDATA=/var/lib/pgsql/15/data/
OOMScoreAdjust=-1000
Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj
Environment=PG_OOM_ADJUST_VALUE=0
ExecStart=/usr/pgsql-15/bin/postmaster -D \${PGDATA}
ExecReload=/bin/kill -HUP \$MAINPID
KillMode=mixed
KillSignal=SIGINT
TimeoutSec=0
TimeoutStartSec=0
TimeoutStopSec=1h
[Install]
WantedBy=multi-user.target
UNIT
mkdir /etc/systemd/system/postgresql-15.service.d
printf '[Service]\nEnvironment=PGDATA=/srv/pgsql/15/data\n' >/etc/systemd/system/postgresql-15.service.d/override.conf
systemctl daemon-reload
systemctl enable --now postgresql-15
