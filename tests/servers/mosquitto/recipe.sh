# Shared by prepare, start and stop. Sourced, not run.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
PATH=$PATH:/usr/sbin:/usr/local/sbin

die() { echo "${0##*/}: $*" >&2; exit 1; }
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null && grep -qs mosquitto "/proc/$(cat "$1")/cmdline"; }
# The plugin of access rules by role, which comes with the broker.
rules() { ls /usr/lib/*/mosquitto_dynamic_security.so /usr/lib/mosquitto_dynamic_security.so 2>/dev/null | head -1; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_range() { # a base port such that so many ports from it on are free; below the range that systems hand out
  local p n try
  for try in $(seq 50); do
    p=$((12000 + RANDOM % 1900 * 10))
    for n in $(seq 0 $(($1 - 1))); do ! taken $((p + n)) || continue 2; done
    echo $p; return
  done
  die "no free range of ports was found"
}

# The guard outlives us: it ends what runs in DIR when the process $1 that wanted it is gone, however that ended.
guard() {
  [ -n "$1" ] && [ ! -e "$dir/guard.pid" ] || return 0
  setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; done; exec "$2" --dir "$3" --kill --purge' \
    guard "$1" "$here/stop" "$dir" </dev/null >/dev/null 2>&1 &
  echo $! >"$dir/guard.pid"
}
