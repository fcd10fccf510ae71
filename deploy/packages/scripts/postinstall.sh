#!/bin/sh
# After the files are there: dpkg says `configure [version before]`, rpm how many versions there are now.
set -e
case "${1:-}" in
  configure) before=${2:-} ;;
  2) before=some ;;
  *) before= ;;
esac

if command -v systemd-sysusers >/dev/null 2>&1; then
  systemd-sysusers ${DPKG_ROOT:+"--root=$DPKG_ROOT"} servicebroker.conf
elif [ -z "${DPKG_ROOT:-}" ] && ! getent passwd servicebroker >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/servicebroker --shell /usr/sbin/nologin servicebroker
fi
[ -z "${DPKG_ROOT:-}" ] || exit 0
# As the units make them; `broker check` misses them before the first start.
for folder in /var/lib/servicebroker /var/log/servicebroker; do
  [ -d "$folder" ] || install -d -m 0750 -o servicebroker -g servicebroker "$folder"
done
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

if [ -z "$before" ]; then
  echo "servicebroker: look at /etc/servicebroker/cman.ora, then: systemctl enable --now servicebroker"
  exit 0
fi
# A running broker hands everything over to the new version; sessions and registrations go on. If it cannot, it goes on
# as it is, and says in its log why: never is it stopped here.
for unit in $(systemctl list-units --plain --no-legend --state=active 'servicebroker.service' 'servicebroker@*.service' | awk '{print $1}'); do
  systemctl kill --kill-who=main --signal=SIGUSR2 "$unit" &&
    echo "servicebroker: $unit hands over to the new version: journalctl -u $unit tells how far it is" ||
    echo "servicebroker: $unit goes on with the version before: systemctl restart $unit ends its sessions" >&2
done
