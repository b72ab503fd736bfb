#!/usr/bin/env bash
# image.sh SUITE: a local image `localhost/pgsocle-host:SUITE` of a Debian release with systemd, Python and sshd.
# The package archive is the one that this machine's apt uses already. Made once; remove it with `podman rmi`.
set -eu
suite=$1 image=localhost/pgsocle-host:$1
podman image exists "$image" && exit 0
# shellcheck disable=SC2016  # apt-get fills these in itself
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$')
# shellcheck disable=SC2016
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 'security' || true)
sources="deb $mirror $suite main"
case $suite in
  bullseye | bookworm | trixie)
    sources+=$'\n'"deb $mirror $suite-updates main"
    [ -z "$security" ] || sources+=$'\n'"deb $security $suite-security main" ;;
esac
packages=systemd,systemd-sysv,libpam-systemd,dbus,dbus-user-session,python3,python3-apt,sudo,iproute2,iputils-ping
packages+=,ca-certificates,openssh-server,procps,acl,locales,less,netbase
archive=$(mktemp --suffix=.tar)
trap 'rm -f "$archive"' EXIT
printf '%s\n' "$sources" | mmdebstrap --variant=minbase --include="$packages" \
  --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  "$suite" "$archive" -
podman import "$archive" "$image" >/dev/null
