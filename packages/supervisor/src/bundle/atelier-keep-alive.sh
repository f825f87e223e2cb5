#!/bin/sh
# Runs a command and keeps the environment on as long as it does; the reason is shown by `atelier status`.
if [ $# -lt 2 ]; then
  echo "usage: ${0##*/} <reason> <command> [argument...]" >&2
  exit 2
fi
printf '%s\n' "$1" > "/run/atelier-keep-alive/$$" || exit 1
shift
exec "$@"
