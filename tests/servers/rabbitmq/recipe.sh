# Shared by prepare, start and stop. Sourced, not run.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"

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
# A node that crashed leaves its port mapper behind, which ends only when it has seen that the node is gone.
end_epmd() {
  local mapper try
  [ -s "$dir/port" ] || return 0
  mapper=$(($(cat "$dir/port") + 5))
  for try in $(seq 50); do
    taken "$mapper" || return 0
    ERL_EPMD_ADDRESS=127.0.0.1 epmd -port "$mapper" -kill >/dev/null 2>&1 || true
    sleep 0.1
  done
}
