"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

POLL_S = 0.005


def wait_for(
    predicate: Callable[[], object],
    timeout_s: float = 10.0,
    *,
    meanwhile: Callable[[], object] = lambda: None,
) -> bool:
    """Whether `predicate` came true in time; `meanwhile` is called before each look."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        meanwhile()
        if predicate():
            return True
        time.sleep(POLL_S)
    return bool(predicate())
