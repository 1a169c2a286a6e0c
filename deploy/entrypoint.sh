#!/bin/sh
# `docker run IMAGE` takes a command of statsd-relay, flags of `run`, or a shell. `exec` replaces this process, so that
# signals reach the command.
set -eu
[ $# -gt 0 ] || set -- run
case "$1" in
    sh | /*) exec "$@" ;;
    -h | --help | --version) exec statsd-relay "$@" ;;
    -*) exec statsd-relay run "$@" ;;
    *) exec statsd-relay "$@" ;;
esac
