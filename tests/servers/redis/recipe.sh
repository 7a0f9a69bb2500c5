# What start, stop and prepare share.
set -euo pipefail
die() { echo "$*" >&2; exit 1; }
alive() { local pid; pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && grep -qzF "$(dirname "$1")/" "/proc/$pid/cmdline" 2>/dev/null; }
