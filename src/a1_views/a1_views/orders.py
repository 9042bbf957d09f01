"""What the page's buttons do, where they are there: each is a service of another node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from a1_msgs.srv import SetInstruction
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

PATIENCE_S = 5.0


class Orders:
    """Arm, disarm, stop, reset, mode (adaptive | full) and instruction, carried out one by one."""

    def __init__(self, node: Node) -> None:
        self._clients = {
            "arm": node.create_client(SetBool, "a1/arm"),
            "stop": node.create_client(Trigger, "a1/stop"),
            "reset": node.create_client(Trigger, "a1/reset"),
            "mode": node.create_client(SetParameters, "policy/set_parameters"),
            "instruction": node.create_client(SetInstruction, "a1/set_instruction"),
        }
        self._requests: dict[str, Callable[[str], tuple[str, Any]]] = {
            "arm": lambda _: ("arm", SetBool.Request(data=True)),
            "disarm": lambda _: ("arm", SetBool.Request(data=False)),
            "stop": lambda _: ("stop", Trigger.Request()),
            "reset": lambda _: ("reset", Trigger.Request()),
            "mode": lambda mode: ("mode", _mode(mode)),
            "instruction": lambda text: ("instruction", SetInstruction.Request(instruction=text)),
        }

    async def carry_out(self, order: str, argument: str) -> tuple[bool, str]:
        """Whether it was done, and what the node said; called in the server's loop."""
        if order not in self._requests:
            return False, f"'{order}' is no order; there are {', '.join(self._requests)}"
        name, request = self._requests[order](argument)
        client = self._clients[name]
        if not client.service_is_ready():
            return False, f"nobody offers {client.srv_name}: is its node running and active?"
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Any] = loop.create_future()
        future = client.call_async(request)
        future.add_done_callback(
            lambda done: loop.call_soon_threadsafe(_settle, answered, done.result())
        )
        try:
            answer = await asyncio.wait_for(answered, PATIENCE_S)
        except TimeoutError:
            client.remove_pending_request(future)
            return False, f"{client.srv_name} did not answer within {PATIENCE_S:g} s"
        return _told(answer)


def _mode(mode: str) -> SetParameters.Request:
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=mode)
    return SetParameters.Request(parameters=[Parameter(name="mode", value=value)])


def _settle(answered: asyncio.Future[Any], answer: Any) -> None:
    if not answered.done():
        answered.set_result(answer)


def _told(answer: Any) -> tuple[bool, str]:
    if isinstance(answer, SetParameters.Response):
        (result,) = answer.results
        return bool(result.successful), str(result.reason)
    return bool(answer.success), str(answer.message)
