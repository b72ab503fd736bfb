#!/usr/bin/env bash
# boot.sh NAME IMAGE [option of podman run]...: one host with systemd as its first process and a view of control groups of its own.
# AUDIT_WRITE: without it sshd gives no terminal. /proc/sys stays read-only: nothing in here can change the machine itself. Returns when the host is up.
set -eu
name=$1 image=$2
shift 2
podman run -d --replace --name "$name" --hostname "$name" --systemd=false --cgroupns=private --cap-add SYS_ADMIN,NET_ADMIN,AUDIT_WRITE \
  --security-opt seccomp=unconfined --tmpfs /run:rw,exec,mode=755 --tmpfs /run/lock:rw --stop-signal SIGRTMIN+3 \
  -e container=podman "$@" "$image" \
  /bin/sh -c 'umount -R /sys/fs/cgroup; mount -o remount,rw /sys 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec /sbin/init' >/dev/null
exec "$(dirname "$0")/up.sh" "$name"
