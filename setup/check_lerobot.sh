#!/usr/bin/env bash
# Data sets of ours against the real LeRobot, both ways; the project's environment is sourced.
#   check_lerobot.sh [DATASET...]   without any, two episodes of the simulator
# LeRobot lives in an environment of its own, A1_LEROBOT or .venv-lerobot: it wants other versions
# of torch and numpy than we do. Making it fetches several gigabytes, once.
set -eu
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
theirs="${A1_LEROBOT:-$root/.venv-lerobot}"
work="$root/out/check_lerobot"
rm -rf "$work"
mkdir -p "$work"

if [ ! -e "$theirs/lerobot_ready" ]; then
    echo "check-lerobot: installing LeRobot into $theirs (several gigabytes)"
    python -m venv "$theirs"
    env -u PYTHONPATH -u LD_LIBRARY_PATH "$theirs/bin/pip" install --quiet "lerobot[dataset]>=0.4.4,<0.7"
    touch "$theirs/lerobot_ready"
fi
lerobot() {  # its Python, without what we have set for ours, without the network
    env -u PYTHONPATH -u LD_LIBRARY_PATH HF_HUB_OFFLINE=1 HF_HOME="$work/home" \
        PYTHONWARNINGS=ignore "$theirs/bin/python" "$@"
}

if [ $# -eq 0 ]; then
    python -m a1_training.demonstrations --episodes 2 --seed 1 --keep-failures --out "$work/ours"
    set -- "$work/ours"
fi
for dataset in "$@"; do
    python -m a1_data.lerobot.found "$dataset" "$work/found.npz"
    lerobot setup/check_lerobot.py "$dataset" "$work/found.npz"
done

lerobot tests/golden/lerobot_golden.py "$work/theirs" >"$work/theirs.log" 2>&1 ||
    { cat "$work/theirs.log" >&2; exit 1; }
python -m a1_data.lerobot.found "$work/theirs" "$work/found.npz"
lerobot setup/check_lerobot.py "$work/theirs" "$work/found.npz"
echo "check-lerobot: LeRobot reads what we write, and we read what it writes"
