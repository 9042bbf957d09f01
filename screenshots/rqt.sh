#!/usr/bin/env bash
# Photographs a simulated run: out/screenshots/rqt-*.png. `make screenshots` calls it.
set -eu
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
out="$root/out/screenshots"
# A domain of its own, so that no other simulation is in the picture.
export ROS_DOMAIN_ID="${A1_SCREENSHOTS_DOMAIN:-84}" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
mkdir -p "$out"

"$root/a1" launch sim.launch.xml "domain:=$ROS_DOMAIN_ID" \
    "thresholds:=$root/config/thresholds/franka_tiny.yaml" >"$out/run.log" 2>&1 &
run=$!
trap 'kill "$run" 2>/dev/null && wait "$run" || true' EXIT

# Three tasks, so that the minute that the window shows has something to tell.
"$root/a1" run a1_rqt photograph --out "$out" --chunks 45 --patience 900 \
    --instruction "put the blue cube in the bowl" --instruction "touch the red cube" \
    --instruction "put the yellow cube in the bowl"
