# Shared by prepare, start and stop. Sourced, not run.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../base.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null && grep -qs mosquitto "/proc/$(cat "$1")/cmdline"; }
# The plugin of access rules by role, which comes with the broker.
rules() { ls /usr/lib/*/mosquitto_dynamic_security.so /usr/lib/mosquitto_dynamic_security.so 2>/dev/null | head -1; }
