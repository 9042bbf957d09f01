"""The lifecycle base of every A1 node: it owns the transitions and reports what fails.

A node fills in four steps. `on_configured` builds, `on_activated` starts, `on_deactivated` stops
and `on_cleaned_up` takes down; the last two accept a state that is only half built, because they
also run after a step that failed. A step that raises A1Error (the user's mistake) is logged, shown
on /diagnostics, and the transition fails; anything else is our bug, logged with its traceback.
"""

import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from a1_core.errors import A1Error
from a1_ros.diagnostics import DiagnosticsPublisher, Level, Status
from a1_ros.parameters import Parameters, ParameterSpec

_SUCCESS = TransitionCallbackReturn.SUCCESS


class _Reporting:
    """Logs what a step raises; swallows A1Error, which `failure` then holds."""

    def __init__(self, node: "A1LifecycleNode", step: str) -> None:
        self._node = node
        self._step = step
        self.failure: str | None = None

    def __enter__(self) -> "_Reporting":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):  # a step may be interrupted
            return False
        if isinstance(error, A1Error):
            self.failure = str(error)
            self._node.report_failure(self._step, self.failure)
            return True
        lines = "".join(traceback.format_exception(kind, error, trace))
        self._node.report_failure(self._step, f"{error!r}; this is a bug, please report it")
        self._node.get_logger().error(lines)
        return False


class A1LifecycleNode(LifecycleNode):
    """A lifecycle node with declared parameters and diagnostics.

    `node_kwargs` go to rclpy's Node: context, namespace, parameter_overrides and so on; a
    composition gives them (see a1_ros.compose).
    """

    def __init__(self, name: str, specs: Sequence[ParameterSpec], **node_kwargs: Any) -> None:
        super().__init__(name, **node_kwargs)
        self._state_label = "unconfigured"
        self._failure = ""
        self.parameters = Parameters(self, specs)
        self.diagnostics = DiagnosticsPublisher(self, hardware_id=name)
        self.diagnostics.set_source("lifecycle", self._lifecycle_status)

    def on_configured(self) -> None:
        """Build from the parameters; raise A1Error for the user's mistake."""

    def on_activated(self) -> None:
        """Start; raise A1Error to refuse."""

    def on_deactivated(self) -> None:
        """Stop; also called on a node that never started."""

    def on_cleaned_up(self) -> None:
        """Take down what `on_configured` built, be it half of it."""

    @property
    def state_label(self) -> str:
        """'unconfigured', 'inactive', 'active' or 'finalized'."""
        return self._state_label

    def report_failure(self, step: str, message: str) -> None:
        """Log a failed step and show it on /diagnostics at once."""
        self._failure = f"{step} failed: {message}"
        self.get_logger().error(self._failure)
        self.diagnostics.publish()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition configure: build, or take down the half that was built."""
        self._failure = ""
        return self._step("configure", self.on_configured, "inactive", self.on_cleaned_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition activate: start, or stop the half that was started."""
        super().on_activate(state)
        return self._step("activate", self.on_activated, "active", self.on_deactivated)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition deactivate."""
        done = self._step("deactivate", self.on_deactivated, "inactive", None)
        super().on_deactivate(state)
        return done

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition cleanup."""
        return self._step("cleanup", self.on_cleaned_up, "unconfigured", None)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition shutdown, from any state."""
        return self._step("shutdown", self._take_down, "finalized", None)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A step raised what it should not: take down and start again from unconfigured."""
        return self._step("error processing", self._take_down, "unconfigured", None)

    def destroy_node(self) -> None:
        """Take down, also when no transition did so before."""
        if self._state_label in ("active", "inactive"):
            self._take_down()
            self._state_label = "finalized"
        super().destroy_node()

    def _take_down(self) -> None:
        self.on_deactivated()
        self.on_cleaned_up()

    def _step(
        self,
        name: str,
        step: Callable[[], None],
        reached: str,
        undo: Callable[[], None] | None,
    ) -> TransitionCallbackReturn:
        with _Reporting(self, name) as reporting:
            step()
        if reporting.failure is not None:
            if undo is not None:
                undo()
            return TransitionCallbackReturn.FAILURE
        self._state_label = reached
        self.parameters.lock(reached in ("inactive", "active"))
        return _SUCCESS

    def _lifecycle_status(self) -> Status:
        level = Level.ERROR if self._failure else Level.OK
        return Status(level=level, message=self._failure or self._state_label)
