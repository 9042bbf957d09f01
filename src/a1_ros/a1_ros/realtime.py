"""A real-time priority for who must answer a robot in time."""

import os


def ask_for_realtime(priority: int) -> str:
    """Give the calling thread, and those that it starts, SCHED_FIFO at `priority` (1 to 99).

    Returns why the system refuses, with what to do; empty when it does not.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return (
            f"real-time priority {priority} is refused: allow this user 'rtprio {priority}' in "
            "/etc/security/limits.d and log in again, or set realtime_priority to 0"
        )
    return ""
