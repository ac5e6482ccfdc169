#!/bin/bash
# Starts what is asked for. A server on an empty PGDATA gets a cluster first: a superuser, a
# database, and what /docker-entrypoint-initdb.d adds to it.
set -euo pipefail

# NAME, or the contents of the file that NAME_FILE names; never both.
from_file() {
  local name=$1 file=${1}_FILE
  if [[ -n ${!file:-} ]]; then
    [[ -z ${!name:-} ]] || fail "both $name and $file are set"
    export "$name"="$(< "${!file}")"
    unset "$file"
  fi
}

fail() {
  echo "error: $*" >&2
  exit 1
}

as_postgres() {
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
}

own_folders() {
  mkdir -p "$PGDATA" /run/postgresql
  chmod 00700 "$PGDATA"
  chmod 03775 /run/postgresql
  find "$PGDATA" \! -user postgres -exec chown postgres {} +
  chown postgres /run/postgresql
}

check_password() {
  if [[ -z ${POSTGRES_PASSWORD:-} && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
    fail "the database is new and has no superuser password: set POSTGRES_PASSWORD to one" \
      "(or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in without)"
  fi
}

make_cluster() {
  local words=()
  [[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || words+=(--waldir "$POSTGRES_INITDB_WALDIR")
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "${POSTGRES_PASSWORD:-}")' \
    "${POSTGRES_INITDB_ARGS:-}" '"${words[@]}"'
  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  [[ -n $method ]] || method=$(postgres -C password_encryption "$@")
  printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

# A server for this script alone: it hears no network.
start_private() {
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start \
    -o "$(printf '%q ' -c listen_addresses='' -p "${PGPORT:-5432}" "$@")"
}

stop_private() {
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
}

sql() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
    --username "$POSTGRES_USER" "$@"
}

make_database() {
  [[ $POSTGRES_DB != postgres ]] || return 0
  sql --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
}

run_init_files() {
  local part
  for part in /docker-entrypoint-initdb.d/*; do
    echo "$0: $part"
    case $part in
      *.sh) if [[ -x $part ]]; then "$part"; else . "$part"; fi ;;
      *.sql) sql --dbname "$POSTGRES_DB" -f "$part" ;;
      *.sql.gz) gunzip -c "$part" | sql --dbname "$POSTGRES_DB" ;;
      *) echo "$0: ignoring $part" ;;
    esac
  done
}

initialise() {
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER
  from_file POSTGRES_DB
  from_file POSTGRES_INITDB_ARGS
  export POSTGRES_USER=${POSTGRES_USER:-postgres}
  export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  check_password
  make_cluster "$@"
  export PGPASSWORD=${PGPASSWORD:-${POSTGRES_PASSWORD:-}}
  start_private "$@"
  make_database
  shopt -s nullglob
  run_init_files
  stop_private
  unset PGPASSWORD
  echo
  echo 'PostgreSQL init process complete; ready for start up.'
  echo
}

[[ ${1:-} != -* ]] || set -- postgres "$@"

if [[ ${1:-} == postgres && " $* " != *" --help "* && " $* " != *" --version "* ]]; then
  if [[ $(id -u) == 0 ]]; then
    own_folders
    as_postgres "$BASH_SOURCE" "$@"
  fi
  if [[ ! -s $PGDATA/PG_VERSION ]]; then
    initialise "${@:2}"
  else
    echo
    echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
    echo
  fi
fi

exec "$@"
