# Shared by prepare, start and stop. Sourced, not run.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"

# Debian's own rabbitmq-server is for Debian's own node: the scripts behind it are for any.
bin=/usr/lib/rabbitmq/bin
[ -x $bin/rabbitmq-server ] || bin=$(dirname "$(readlink -f "$(command -v rabbitmq-server || echo /)")")
found() { [ -x "$bin/rabbitmq-server" ] && [ -x "$bin/rabbitmqctl" ] || die "RabbitMQ is not installed (Debian: rabbitmq-server)"; }
version() { basename "$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-* "$bin"/../lib/rabbitmq_server-* 2>/dev/null | head -1)" | sed 's/.*-//'; }
# A pid that was given to another program is not ours: a node's command line names its directory.
alive() { # the node's directory [PID]: a node that is stopping has deleted its pid file already
  local pid=${2:-$(cat "$1/pid" 2>/dev/null || true)}
  [ -n "$pid" ] && grep -qzF "$1/" "/proc/$pid/cmdline" 2>/dev/null
}
# Nodes that crashed leave their port mapper behind, which ends only when it has seen that they are gone.
end_epmd() {
  local node port='' nodes='' try
  [ -s "$dir/options" ] || return 0
  . "$dir/options"
  for node in "$dir"/n[1-9]; do ! alive "$node" || return 0; done
  for try in $(seq 50); do
    taken $((port + 5 * nodes)) || return 0
    ERL_EPMD_ADDRESS=127.0.0.1 epmd -port $((port + 5 * nodes)) -kill >/dev/null 2>&1 || true
    sleep 0.1
  done
}
