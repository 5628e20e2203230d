#!/usr/bin/env bash
# End what `start.sh DIR` started: its jobs, then its daemons, each by the pid that was noted.
set -uo pipefail
dir=${1:?usage: stop.sh DIR}
[ -s "$dir/pids" ] || exit 0
export SLURM_CONF=$dir/slurm.conf

runs() {  # runs PID NAME: whether PID is still the daemon NAME, and not a zombie
  local name state
  { read -r _ name; read -r _; read -r _ state _; } < "/proc/$1/status" || return 1
  [ "$name" = "$2" ] && [ "$state" != Z ]
} 2> /dev/null

if timeout 5 scontrol ping 2> /dev/null | grep -q "is UP"; then
  jobs() { timeout 5 squeue --noheader --format=%A 2> /dev/null | sort -u; }
  for signal in KILL ""; do
    jobs | xargs --no-run-if-empty timeout 5 scancel ${signal:+--full --signal=$signal} 2> /dev/null
  done
  for _ in $(seq 50); do
    [ -n "$(jobs)" ] || break
    sleep 0.2
  done
fi

tac "$dir/pids" | while read -r pid name; do
  runs "$pid" "$name" && kill -TERM "$pid"
  for _ in $(seq 50); do
    runs "$pid" "$name" || continue 2
    sleep 0.1
  done
  kill -KILL "$pid"
done
rm -f "$dir/pids"
