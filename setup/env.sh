# Source this (bash or zsh) to work with what `make setup` built: `source setup/env.sh`.
# Keeps what is set already; a ROS 2 installation that is sourced stays below ours.

_a1_root="$(cd "$(dirname "${BASH_SOURCE[0]:-${(%):-%x}}")/.." && pwd)"
_a1_prepend() {  # NAME PATH: put PATH first in NAME, once
    eval "_a1_old=\"\${$1:-}\""
    case ":$_a1_old:" in
        *":$2:"*) ;;
        *) eval "export $1=\"$2\${_a1_old:+:}\$_a1_old\"" ;;
    esac
}

if [ -f "$_a1_root/.venv/ros_setup" ]; then
    # The environment was made for an installed ROS 2: bring it in unless it is there.
    [ -n "${AMENT_PREFIX_PATH:-}" ] || . "$(cat "$_a1_root/.venv/ros_setup")"
else
    # ROS 2 from wheels lives in the virtual environment itself.
    export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
    export RMW_IMPLEMENTATION="${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}"
    _a1_prepend AMENT_PREFIX_PATH "$_a1_root/.venv"
    _a1_prepend CMAKE_PREFIX_PATH "$_a1_root/.venv"
    for _a1_libs in "$_a1_root"/.venv/lib/python3.*/site-packages/ros_*.libs "$_a1_root/.venv/lib"; do
        _a1_prepend LD_LIBRARY_PATH "$_a1_libs"
    done
    # The libraries are found: the wheels need not start every Python a second time.
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi
_a1_prepend AMENT_PREFIX_PATH "$_a1_root/install"
_a1_prepend CMAKE_PREFIX_PATH "$_a1_root/install"
_a1_prepend LD_LIBRARY_PATH "$_a1_root/install/lib"
_a1_prepend PATH "$_a1_root/.venv/bin"
for _a1_site in "$_a1_root"/.venv/lib/python3.*; do
    _a1_prepend PYTHONPATH "$_a1_root/install/lib/${_a1_site##*/}/site-packages"
done
export COLCON_PREFIX_PATH="$_a1_root/install"
# Nothing leaves this machine unless you say so: export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
# Fast DDS reads it: what got lost on the way is sent again soon. A file of your own stays.
export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_a1_root/config/fastdds.xml}"
export MUJOCO_GL="${MUJOCO_GL:-egl}"
unset _a1_root _a1_old _a1_site _a1_libs
unset -f _a1_prepend
