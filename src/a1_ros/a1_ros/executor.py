"""The executor of every A1 process.

Measured on Jazzy with two cameras at 10 Hz, joint states at 200 Hz and a busy inference thread:
the single-threaded executor delivers in 0.2 ms (p99 4 ms); the multi-threaded one in 3 to 370 ms,
because its mutually exclusive groups spin; the experimental events executor delivered nothing.
One thread is enough, since no callback of ours waits.
"""

import gc
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node

from a1_core.errors import A1Error

ENDING = (signal.SIGINT, signal.SIGTERM)

_T = TypeVar("_T")


def make_executor(context: Context | None = None) -> Executor:
    """An executor for nodes whose callbacks never wait."""
    return SingleThreadedExecutor(context=context)


def call_in(executor: Executor, call: Callable[[], _T], timeout_s: float = 120.0) -> _T:
    """Call in the thread that spins `executor`, and wait for what it returns.

    rclpy's entities are made and destroyed safely by that thread only: one that goes while it is
    waited for ends the spinning, or the process. What the call raises ends the spinning, as with
    any callback.

    Raises CancelledError when the call raised, and TimeoutError when nobody spins the executor or
    the call takes longer.
    """
    called: Future[_T] = Future()

    def task() -> None:
        try:
            called.set_result(call())
        finally:
            called.cancel()  # does nothing where there is a result

    executor.create_task(task)
    return called.result(timeout_s)


class SpinThread:
    """A thread that spins an executor from now until it is stopped.

    rclpy's own `Executor.shutdown` destroys what another thread waits on without waiting for that
    thread, whose spinning then ends in InvalidHandle; here it is left before.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Leave what is spun after the callback in work, then shut the executor down.

        After it, nodes are destroyed safely by the calling thread. A callback that takes longer
        than `timeout_s` is not waited for.
        """
        self._stopped.set()
        self.executor.create_task(lambda: None)  # a task, unlike a wake, ends a wait
        self._thread.join(timeout_s)
        self.executor.shutdown(timeout_sec=0.0)

    def _spin(self) -> None:
        try:
            while not self._stopped.is_set() and self.executor.context.ok():
                self.executor.spin_once()
        except ExternalShutdownException:
            pass  # rclpy was shut down first, e.g. by a signal


def run_node(make: Callable[..., Node], **node_kwargs: Any) -> None:
    """Spin one node until SIGINT or SIGTERM, then take it down: the body of a console script.

    A node that cannot be made says why (A1Error) in one line; the exit status is then 1.
    """
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    end = _End()
    try:
        node = make(**node_kwargs)
    except A1Error as error:
        get_logger(make.__name__).fatal(str(error))
        rclpy.try_shutdown()
        sys.exit(1)
    # What is there by now stays. A full collection that looks through it all stops every thread of
    # the process for 20 to 70 ms, and a robot may allow 30 between two set-points.
    gc.collect()
    gc.freeze()
    executor = make_executor()
    executor.add_node(node)
    try:
        while not end.asked:
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.get_logger().info("shutting down")
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()


class _End:
    """What SIGINT and SIGTERM do.

    The first one raises KeyboardInterrupt, so that a callback that takes long is left too; Python
    ignores what is raised in a destructor, so `asked` says it as well. The second one, which a
    launcher sends to a node that takes its time, does nothing: an end that is broken off leaves
    the arm without its last command. After that the signals end the process.
    """

    def __init__(self) -> None:
        self.asked = False
        for number in ENDING:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        if self.asked:
            for each in ENDING:
                signal.signal(each, signal.SIG_DFL)
            return
        self.asked = True
        raise KeyboardInterrupt
