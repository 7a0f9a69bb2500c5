# Shared by prepare, start and stop. Sourced, not run.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"
pom=$here/${pom:-pom.xml} # whoever sources this may name another one
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mqdeck-tests/kafka-$version
libs=$cache/libs
archive=$cache/classes.jsa # class data of a running broker: halves the CPU time of each later start

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null && { grep -qsE 'kafka\.Kafka|QuorumPeerMain' "/proc/$(cat "$1")/cmdline" || forked "$(cat "$1")"; }; }

# Copies Kafka's jars into the cache once; a second caller waits for the first.
resolve() {
  [ -e "$libs/.complete" ] && return
  command -v mvn >/dev/null || die "Maven is not installed"
  mkdir -p "$cache"
  exec 9>"${cache%/*}/maven.lock"; flock 9 # of all versions: Maven's own store does not bear two at a time
  if [ ! -e "$libs/.complete" ]; then
    cp "$pom" "$cache/pom.xml"
    mvn -B -q -f "$cache/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$libs" >"$cache/mvn.log" 2>&1 || { cat "$cache/mvn.log" >&2; die "Maven could not resolve Kafka $version"; }
    touch "$libs/.complete"
  fi
  flock -u 9; exec 9>&-
}

# java on Kafka's class path, with the archive if there is one (the JVM ignores one that does not fit).
jvm=(java -cp "$libs/*" -Djava.awt.headless=true)
[ ! -e "$archive" ] || jvm+=(-XX:SharedArchiveFile="$archive" -Xshare:auto -Xlog:cds=off -Xlog:class+path=off)
