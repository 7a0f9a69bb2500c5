# Shared by prepare, start and stop. Sourced, not run.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)

die() { echo "${0##*/}: $*" >&2; exit 1; }
# Debian's own rabbitmq-server is for Debian's own node: the scripts behind it are for any.
bin=/usr/lib/rabbitmq/bin
[ -x $bin/rabbitmq-server ] || bin=$(dirname "$(readlink -f "$(command -v rabbitmq-server || echo /)")")
found() { [ -x "$bin/rabbitmq-server" ] && [ -x "$bin/rabbitmqctl" ] || die "RabbitMQ is not installed (Debian: rabbitmq-server)"; }
version() { basename "$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-* "$bin"/../lib/rabbitmq_server-* 2>/dev/null | head -1)" | sed 's/.*-//'; }
# A pid that was given to another program is not ours: a node's command line names its directory.
alive() { # [PID]: a node that is stopping has deleted its pid file already
  local pid=${1:-$(cat "$dir/pid" 2>/dev/null || true)}
  [ -n "$pid" ] && grep -qzF "$dir/" "/proc/$pid/cmdline" 2>/dev/null
}
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_range() { # a base port such that so many ports from it on are free; below the range that systems hand out
  local p n try
  for try in $(seq 50); do
    p=$((20000 + RANDOM % 1100 * 10))
    for n in $(seq 0 $(($1 - 1))); do ! taken $((p + n)) || continue 2; done
    echo $p; return
  done
  die "no free range of ports was found"
}
# A node that crashed leaves its port mapper behind.
end_epmd() { [ ! -s "$dir/port" ] || ERL_EPMD_ADDRESS=127.0.0.1 epmd -port $(($(cat "$dir/port") + 5)) -kill >/dev/null 2>&1 || true; }
# The guard outlives us: it ends what runs in DIR when the process $1 that wanted it is gone, however that ended.
guard() {
  [ -n "$1" ] && [ ! -e "$dir/guard.pid" ] || return 0
  setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; done; exec "$2" --dir "$3" --kill --purge' \
    guard "$1" "$here/stop" "$dir" </dev/null >/dev/null 2>&1 &
  echo $! >"$dir/guard.pid"
}
