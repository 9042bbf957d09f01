"""Brings lifecycle nodes to active, in order, and says clearly which one does not get there.

It stays afterwards, so that a launch file can end with it when it fails. `arm` belongs to the
simulator's launch file alone and is refused where a real arm could be reached.
"""

import sys
import time
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import SetBool

from a1_core.errors import A1Error
from a1_ros.executor import make_executor
from a1_ros.guard import refuse_foreign_endpoints

ANSWER_S = 5.0
_STEPS = (
    ("configure", Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_UNCONFIGURED),
    ("activate", Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_INACTIVE),
)


class LifecycleManager(Node):
    """Parameters: nodes (names with spaces between), step_timeout (s), arm (simulation only)."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("lifecycle_manager", **node_kwargs)
        self._nodes = self.declare_parameter("nodes", "")
        self._step_timeout = self.declare_parameter("step_timeout", 120.0)
        self._arm = self.declare_parameter("arm", False)

    def bring_up(self) -> None:
        """Configure all, then activate all, then arm if asked to; A1Error names who fails."""
        names = self._nodes.value.split()
        if not names:
            raise A1Error("parameter 'nodes' is empty; give the lifecycle nodes' names")
        if self._arm.value:
            self._refuse_arming_of_real_arms()
        for step, transition, before in _STEPS:
            for name in names:
                self._step(name, step, transition, before)
        self.get_logger().info(f"active: {', '.join(names)}")
        if self._arm.value:
            self._arm_now()

    def _step(self, name: str, step: str, transition: int, before: int) -> None:
        until_s = time.monotonic() + self._step_timeout.value
        state = self._call(GetState, f"{name}/get_state", GetState.Request(), until_s).current_state
        if state.id == State.PRIMARY_STATE_ACTIVE or (
            step == "configure" and state.id == State.PRIMARY_STATE_INACTIVE
        ):
            return
        if state.id != before:
            raise A1Error(f"node '{name}' is {state.label}: it cannot {step} from there")
        request = ChangeState.Request(transition=Transition(id=transition))
        if not self._call(ChangeState, f"{name}/change_state", request, until_s).success:
            raise A1Error(f"node '{name}' did not {step}; its log above says why")

    def _refuse_arming_of_real_arms(self) -> None:
        refuse_foreign_endpoints(self, (), settle_s=0.0)
        if not self.get_parameter("use_sim_time").value:
            raise A1Error("parameter arm needs use_sim_time: a real arm is armed by a person")

    def _arm_now(self) -> None:
        until_s = time.monotonic() + self._step_timeout.value
        while True:
            answer = self._call(SetBool, "a1/arm", SetBool.Request(data=True), until_s)
            if answer.success:
                self.get_logger().info("armed (simulation)")
                return
            if time.monotonic() > until_s:
                raise A1Error(f"controller does not arm: {answer.message}")
            time.sleep(0.2)

    def _call(self, kind: Any, service: str, request: Any, until_s: float) -> Any:
        """The answer of a service, which may come up and answer until `until_s` (steady clock)."""
        client: Client = self.create_client(kind, service)
        try:
            while not client.wait_for_service(timeout_sec=1.0):
                if time.monotonic() > until_s:
                    raise A1Error(
                        f"nobody offers service '{client.srv_name}'; is the node running?"
                    )
            future = client.call_async(request)
            patience_s = max(until_s - time.monotonic(), ANSWER_S)
            self._spin_until(future, patience_s)
            if not future.done():
                raise A1Error(f"'{client.srv_name}' did not answer within {patience_s:.0f} s")
            return future.result()
        finally:
            self.destroy_client(client)

    def _spin_until(self, future: Future, timeout_s: float) -> None:
        """With an executor of its own: rclpy's global one would keep the context, and with it the
        DDS participant, for as long as the process lives."""
        executor = make_executor(self.context)
        try:
            rclpy.spin_until_future_complete(self, future, executor, timeout_s)
        finally:
            executor.shutdown()


def main() -> int:
    """Exit status: 0 at interrupt, 1 when a node did not come up."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.ALL)
    node = LifecycleManager()
    try:
        node.bring_up()
        rclpy.spin(node)
    except A1Error as error:
        node.get_logger().fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
