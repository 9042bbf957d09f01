#!/usr/bin/env bash
# Makes the virtual environment and builds the workspace. Does only what is missing or changed.
# A1_PYTHON=/path/to/python3 picks the interpreter; otherwise it is the one that the environment was
# made with, whichever comes first in this terminal, and for a new one the first that fits.
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

made_with="$(sed -n 's/^executable = //p' "$here/../.venv/pyvenv.cfg" 2>/dev/null || true)"
for python in ${A1_PYTHON:+"$A1_PYTHON"} ${ros:+/usr/bin/python3} ${made_with:+"$made_with"} python3 python3.12 python3.11 python3.13; do
    if "$python" -c "$fits" >/dev/null 2>&1; then
        exec "$python" -I "$here/main.py" ${ros:+--ros "$ros"} "$@"
    fi
done
if [ -n "$ros" ]; then
    echo "setup: ROS 2 ${ROS_DISTRO:-} is sourced from $ros, but no Python 3.11 to 3.13 here imports its rclpy; source Jazzy, set A1_PYTHON to the Python that does, or take a terminal without ROS 2: then it comes from PyPI" >&2
else
    found="$(python3 --version 2>/dev/null || echo "no python3")"
    echo "setup: needs Python 3.11, 3.12 or 3.13, found $found; Debian 12 and Ubuntu 24.04 have one (sudo apt-get install python3 python3-venv python3-dev), elsewhere set A1_PYTHON=/path/to/python3 to one of pyenv, uv or conda" >&2
fi
exit 1
