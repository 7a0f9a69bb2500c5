# What start, stop and prepare share.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && { grep -qzF "$(dirname "$1")/" "/proc/$pid/cmdline" 2>/dev/null || forked "$pid"; }
}
