# What the recipes of all servers share. Sourced by each recipe.sh, not run; `here` is that one's folder.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[1]}")")" && pwd)

die() { echo "${0##*/}: $*" >&2; exit 1; }
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# The first of so many free ports in a row, below the range that systems hand out. Every call of this user, of whatever run, is given
# the next ones, so that nobody is given what somebody else is about to open.
free_range() {
  local next=${TMPDIR:-/tmp}/mqdeck-test-port-$UID first n try
  exec 8>>"$next"; flock 8
  read -r first <"$next" || first=12000
  for try in $(seq 1000); do
    [ $((first + $1)) -le 32000 ] || first=12000
    for n in $(seq "$first" $((first + $1 - 1))); do
      if taken "$n"; then first=$((n + 1)); continue 2; fi
    done
    echo $((first + $1)) >"$next"
    echo "$first"
    return
  done
  die "no free range of ports was found"
}
free() { free_range 1; }

# Whether a process is a child of ours that is not the program yet that it is to be: until then it has our command line, by which nobody
# would know it for a server; and in the moment of its exec none at all, which one that has ended has not either.
forked() {
  cmp -s "/proc/$1/cmdline" "/proc/$$/cmdline" && return
  grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status" && [ "$(wc -c <"/proc/$1/cmdline")" = 0 ]
}

# The guard outlives us: it ends what runs in DIR when the process $1 that wanted it is gone, however that ended.
guard() {
  [ -n "$1" ] && [ ! -e "$dir/guard.pid" ] || return 0
  (cd /; exec setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; done; exec "$2" --dir "$3" --kill --purge' \
    guard "$1" "$here/stop" "$dir") </dev/null >/dev/null 2>&1 &
  echo $! >"$dir/guard.pid"
}

# Deletes DIR and ends its guard, which may be who asks.
purge() {
  local guard
  guard=$(cat "$dir/guard.pid" 2>/dev/null || true)
  rm -rf "$dir"
  [ -z "$guard" ] || [ "$guard" = $$ ] || kill "$guard" 2>/dev/null || true
}

# Two authorities and what they signed, in DIR/tls: a good certificate, one for another host, one that has expired, one of a client,
# and one of a client whom nobody knows.
certificates() {
  local t=$dir/tls key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  mkdir -p "$t"
  sign() { # name, authority, names, days (negative: in the past)
    openssl req "${key[@]}" -subj "/CN=$1" -keyout "$t/$1.key" -out "$t/$1.csr"
    openssl x509 -req -in "$t/$1.csr" -CA "$t/$2.pem" -CAkey "$t/$2.key" -CAcreateserial -days "$4" -out "$t/$1.pem" \
      -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n' "$3")
  }
  {
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=test CA" -keyout "$t/ca.key" -out "$t/ca.pem"
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=other CA" -keyout "$t/other-ca.key" -out "$t/other-ca.pem"
    sign good ca DNS:localhost,IP:127.0.0.1 3650
    sign wronghost ca DNS:broker.example 3650
    sign client ca DNS:client 3650
    sign stranger other-ca DNS:stranger 3650
    sign expired ca DNS:localhost,IP:127.0.0.1 -1
  } >"$dir/openssl.log" 2>&1 || die "openssl failed: $(tail -n 1 "$dir/openssl.log")"
}
