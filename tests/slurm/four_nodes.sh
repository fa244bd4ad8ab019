#!/bin/bash
# The demo on four virtual Slurm nodes of this machine against the unsharded run: once as it is, once with a node killed.
#
#     apt-get install slurm-wlm slurm-client munge      # as root; nothing else on the machine is changed
#     cargo build --release && tests/slurm/four_nodes.sh [kill]
#
# Says that it skips where Slurm is not installed. Takes about a minute, with `kill` about four: a task of a dead node is
# held for two minutes before it runs again. Results must be equal byte for byte; in the manifest times, paths and the
# command line differ.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v slurmctld munged sbatch > /dev/null; then
    echo "skipped: slurmctld, munged and sbatch are not all installed"
    exit 0
fi
kill_one=${1:-}
program=${SPECBENCH:-$PWD/target/release/specbench}
work=$(mktemp -d)
mkdir -p "$work/etc" "$work/state" "$work/log"
export SLURM_CONF=$work/etc/slurm.conf
finish() {
    pkill -f "slurmd -N n[1-4] -f $SLURM_CONF" || true
    pkill -F "$work/state/slurmctld.pid" 2> /dev/null || true
    sleep 1
    rm -rf "$work" || true
}
trap finish EXIT

if ! munge -n 2> /dev/null | unmunge > /dev/null 2>&1; then
    mkdir -p /run/munge /var/log/munge /var/lib/munge
    chown munge:munge /run/munge /var/log/munge /var/lib/munge
    chmod 755 /run/munge
    su -s /bin/sh munge -c '/usr/sbin/munged --syslog'
fi
cat > "$SLURM_CONF" << CONF
ClusterName=specbench
SlurmctldHost=localhost
AuthType=auth/munge
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
ReturnToService=2
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
InactiveLimit=0
KillWait=2
SlurmdTimeout=10
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/state/%n
SlurmctldPidFile=$work/state/slurmctld.pid
SlurmdPidFile=$work/state/%n.pid
SlurmctldLogFile=$work/log/slurmctld.log
SlurmdLogFile=$work/log/%n.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n[1-4] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=[17001-17004] CPUs=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -c -i -f "$SLURM_CONF"
for i in 1 2 3 4; do slurmd -N "n$i" -f "$SLURM_CONF"; done
for _ in $(seq 30); do
    [ "$(sinfo -h -N -t idle | wc -l)" = 4 ] && break
    sleep 1
done
sinfo -h -N

limit=${SPECBENCH_SLURM_LIMIT:-200}
"$program" run suites/demo.toml -q --out "$work/whole" --limit "$limit" --threads 1 > /dev/null
job=$("$program" slurm suites/demo.toml --shards 4 --out "$work/parts" -- --limit "$limit" --threads 1 --no-cache)
if [ "$kill_one" = kill ]; then
    # A node dies with its task in the middle of it: no orderly stop, no word to the controller.
    for _ in $(seq 60); do
        read -r victim id <<< "$(squeue -h -j "$job" -t R -o "%N %A" | head -1)" || true
        step=$(pgrep -f "slurmstepd: \[$id\.batch\]" || true)
        [ -n "$id" ] && [ -n "$step" ] && break
        sleep 0.2
    done
    sleep 1
    # What ran on that node, and nothing else: a task that dies on a node that lives has failed.
    mapfile -t gone < <(pgrep -f "slurmd -N $victim -f"; echo "$step"; pgrep -P "$step")
    kill -9 "${gone[@]}" || true
    echo "killed $victim"
fi
for _ in $(seq 300); do
    [ -z "$(squeue -h)" ] && break
    sleep 1
done
scontrol show job "$job" | grep -E "JobState|Restarts" | sort | uniq -c || true

python3 - "$work/whole" "$work/parts" << 'PY'
import json, pathlib, sys
a, b = map(pathlib.Path, sys.argv[1:])
def files(folder):
    skip = lambda p: p.parts[0] in ("slurm", ".parts", "soups") or p.name.startswith(".")
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not skip(p.relative_to(folder))}
assert files(a) == files(b), files(a) ^ files(b)
def manifest(path):
    data = json.loads(path.read_text())
    return {k: v for k, v in data.items() if k not in ("timing", "command")}
same = 0
for name in sorted(files(a)):
    x, y = a / name, b / name
    if name == "manifest.json":
        assert manifest(x) == manifest(y), name
    else:
        assert x.read_bytes() == y.read_bytes(), name
    same += 1
print(f"{same} files are equal")
PY
