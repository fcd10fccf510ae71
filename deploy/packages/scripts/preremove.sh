#!/bin/sh
# Before the files go. Not before an upgrade: dpkg says `upgrade`, rpm 1.
set -e
case "${1:-}" in remove | 0) ;; *) exit 0 ;; esac
[ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ] || exit 0
# Sessions may go on for as long as they may at any stop.
systemctl disable --now servicebroker.socket servicebroker.service || true
for unit in $(systemctl list-units --plain --no-legend --all 'servicebroker@*.service' | awk '{print $1}'); do
  systemctl disable --now "$unit" || true
done
