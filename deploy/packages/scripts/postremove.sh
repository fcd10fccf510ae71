#!/bin/sh
# After the files are gone. State and logs stay until dpkg is told to purge.
set -e
if [ "${1:-}" = purge ]; then
  rm -rf "${DPKG_ROOT:-}/var/lib/servicebroker" "${DPKG_ROOT:-}/var/log/servicebroker"
  rmdir "${DPKG_ROOT:-}/etc/servicebroker" 2>/dev/null || true
fi
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
