#!/bin/bash
# Before the server starts, runs what lies in /docker-entrypoint.d, in order of name.
set -euo pipefail

if [[ ${1:-} == nginx || ${1:-} == nginx-debug ]]; then
  shopt -s nullglob
  for part in /docker-entrypoint.d/*; do
    case $part in
      *.envsh) [[ -x $part ]] && . "$part" ;;
      *.sh) [[ -x $part ]] && "$part" ;;
      *) echo "$0: ignoring $part" ;;
    esac
  done
fi

exec "$@"
