#!/usr/bin/env bash
# A real SLURM on loopback, for the tests (a node; in the partition "pair" a second one, here too): munged, slurmctld, slurmd; no systemd, no root but to install.
#
#   start.sh --install      install Debian's packages (root), start nothing
#   start.sh DIR [PORT]     start a cluster whose files are all in DIR; on return the node is idle
#   . DIR/env.sh            SLURM_CONF, which every SLURM command needs
#   stop.sh DIR             cancel its jobs and end its daemons
#
# ACCOUNTING=1 adds mariadbd and slurmdbd, so that sacct answers. CPUS (4) is what the node claims to have.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
accounting=${ACCOUNTING:-0}
cpus=${CPUS:-4}

if [ "${1:-}" = --install ]; then
  packages=(slurmctld slurmd slurm-client munge)
  if [ "$accounting" = 1 ]; then packages+=(slurmdbd mariadb-server); fi
  # Debian starts a package's services at once; here they would find no configuration.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
  exit
fi

dir=${1:?usage: start.sh --install | DIR [PORT]}
port=${2:-16817}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ ${#dir} -gt 80 ]; then
  echo "start.sh: $dir is too long for a Unix socket (80 characters)" >&2
  exit 2
fi
bash "$here/stop.sh" "$dir"
rm -rf "$dir"/{state,spool,munge,log,db}
mkdir -p "$dir"/{state,spool,munge,log,db}
chmod 711 "$dir/munge"
: > "$dir/pids"
trap 'echo "start.sh: line $LINENO failed" >&2; bash "$here/stop.sh" "$dir"' ERR

me=$(id -un)
host=$(hostname -s)
memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
socket=$dir/munge/socket

daemon() {  # daemon COMMAND...: in a session of its own, its pid noted
  setsid "$@" >> "$dir/log/$1.out" 2>&1 < /dev/null &
  echo "$! $1" >> "$dir/pids"
}

await() {  # await WHAT COMMAND...: until the command succeeds, 20 s at most
  local what=$1
  shift
  for _ in $(seq 100); do
    if "$@" > /dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "start.sh: $what did not come up; its log is in $dir/log" >&2
  return 1
}

(umask 077 && head -c 128 /dev/urandom > "$dir/munge/key")
daemon munged --foreground --force --key-file="$dir/munge/key" --socket="$socket" \
  --pid-file="$dir/munge/pid" --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
await munged bash -c "munge -S '$socket' -n | unmunge -S '$socket'"

storage="AccountingStorageType=accounting_storage/none"
if [ "$accounting" = 1 ]; then
  storage="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$socket"
fi

# cred_expire: how long a requeued job waits (120 s if not set, 5 s at least).
# preempt_send_user_signal: preemption sends the signal of --signal too, not SIGTERM alone.
# config_overrides: believe the CPUs written here.
cat > "$dir/slurm.conf" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/state/slurmctld.pid
SlurmdPidFile=$dir/spool/%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
PlugStackConfig=$dir/plugstack.conf
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
KillWait=2
MinJobAge=3600
JobRequeue=1
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
$storage
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus CoresPerSocket=$cpus RealMemory=$memory State=UNKNOWN
NodeName=localhost NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 3)) CPUs=$cpus \
  CoresPerSocket=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=pair Nodes=$host,localhost
PartitionName=main Nodes=$host Default=YES PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes=$host PriorityTier=10 PreemptMode=OFF
END
touch "$dir/plugstack.conf"
export SLURM_CONF=$dir/slurm.conf
echo "export SLURM_CONF='$SLURM_CONF'" > "$dir/env.sh"

if [ "$accounting" = 1 ]; then
  mariadb-install-db --no-defaults --user="$me" --datadir="$dir/db/data" --skip-test-db \
    --auth-root-authentication-method=socket --auth-root-socket-user="$me" > "$dir/log/mariadb.out"
  daemon mariadbd --no-defaults --user="$me" --datadir="$dir/db/data" --socket="$dir/db/socket" \
    --skip-networking --pid-file="$dir/db/pid"
  await mariadbd mariadb-admin --no-defaults --user="$me" --socket="$dir/db/socket" ping
  cat > "$dir/slurmdbd.conf" <<END
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=$me
AuthType=auth/munge
AuthInfo=socket=$socket
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/db/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=$me
CommitDelay=1
END
  chmod 600 "$dir/slurmdbd.conf"
  export MYSQL_UNIX_PORT=$dir/db/socket
  daemon slurmdbd -D
  await slurmdbd sacctmgr --noheader show cluster
  sacctmgr --immediate add cluster tests > /dev/null 2>&1 || true
fi

daemon slurmctld -D -c -f "$SLURM_CONF"
await slurmctld bash -c 'scontrol ping | grep -q "is UP"'
for node in "$host" localhost; do  # both names are this machine's, so that either finds the other
  mkdir -p "$dir/spool/$node"
  daemon slurmd -D -f "$SLURM_CONF" -N "$node"
done
await slurmd bash -c '[ "$(sinfo --noheader --partition=pair --Node --format=%t | grep -cx idle)" = 2 ]'
