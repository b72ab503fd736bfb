#!/usr/bin/env bash
# machine.sh: makes a Debian machine (root, no systemd needed as its own init) able to run the test hosts: podman with runc.
# Does nothing where that is done already.
set -eu
missing=
for program in podman runc mmdebstrap conmon iptables nft ip; do command -v "$program" >/dev/null || missing=yes; done
if [ -n "$missing" ]; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    podman runc uidmap iptables nftables iproute2 dbus mmdebstrap conmon catatonit zstd openssh-client
fi
[ -e /etc/containers/containers.conf ] && exit 0
# podman's own defaults ask for more than a machine without CAP_SYS_RESOURCE may give; crun refuses hybrid control groups.
files=$(ulimit -Hn)
[ "$files" != unlimited ] || files=1048576
mkdir -p /etc/containers
cat >/etc/containers/containers.conf <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
