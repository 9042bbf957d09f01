#!/usr/bin/env bash
# Makes the virtual environment and builds the workspace. Does only what is missing or changed.
# A1_PYTHON=/path/to/python3 picks the interpreter; otherwise the first that fits is taken.
set -eu
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

# An installed ROS 2 that is sourced decides: its Python is the one that imports rclpy.
ros=""
IFS=: read -ra prefixes <<<"${AMENT_PREFIX_PATH:-}"
for prefix in ${prefixes[@]+"${prefixes[@]}"}; do
    case "$prefix" in "$(dirname "$here")"/*) continue ;; esac
    if [ -d "$prefix/share/rclpy" ]; then ros="$prefix"; fits="import rclpy; $fits"; break; fi
done

for python in ${A1_PYTHON:+"$A1_PYTHON"} ${ros:+/usr/bin/python3} python3 python3.12 python3.11 python3.13; do
    if "$python" -c "$fits" >/dev/null 2>&1; then
        exec "$python" -I "$here/main.py" ${ros:+--ros "$ros"} "$@"
    fi
done
if [ -n "$ros" ]; then
    echo "setup: ROS 2 is sourced from $ros, but no Python 3.11 to 3.13 here imports its rclpy; set A1_PYTHON to the one that does" >&2
else
    echo "setup: needs Python 3.11, 3.12 or 3.13; on Debian or Ubuntu: sudo apt-get install python3 python3-venv python3-dev" >&2
fi
exit 1
