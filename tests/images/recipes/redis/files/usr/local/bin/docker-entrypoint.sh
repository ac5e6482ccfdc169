#!/bin/bash
# Starts what is asked for; a server gives up root first, and owns its data by then.
set -euo pipefail

# Options alone, or a configuration file alone, are meant for the server.
if [[ ${1:-} == -* || ${1:-} == *.conf ]]; then
  set -- redis-server "$@"
fi

if [[ ${1:-} == redis-server ]]; then
  # Elsewhere protected mode keeps strangers out; here the network does, and every peer is a stranger.
  if [[ " $* " != *" --protected-mode "* ]]; then
    if [[ ${2:-} == *.conf ]]; then
      set -- "$1" "$2" --protected-mode no "${@:3}"
    else
      set -- "$1" --protected-mode no "${@:2}"
    fi
  fi
  if [[ $(id -u) == 0 ]]; then
    find . \! -user redis -exec chown redis:redis {} +
    umask 0077
    exec setpriv --reuid=redis --regid=redis --init-groups -- "$@"
  fi
fi

exec "$@"
