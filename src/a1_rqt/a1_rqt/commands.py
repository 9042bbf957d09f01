"""What the window can ask of policy and controller. Nothing waits: answers come to `answers`."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from a1_msgs.srv import SetInstruction
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from a1_rqt.spinning import in_its_thread

PATIENCE_S = 5.0
SHADOW_STEPS = (
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
    None,  # here the parameter is set
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
)
FILE_PARAMETERS = ("checkpoint", "thresholds")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a command, for a person."""

    what: str
    ok: bool
    message: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call: `judge` gives an empty text for a good response, else what is wrong."""

    client: Client
    request: Any
    judge: Callable[[Any], str]


class Commands:
    """Clients of `node` below `namespace`; whoever spins the node completes the calls.

    `answers` gets one Answer a command, `files` the policy's files by parameter when asked for.
    """

    def __init__(self, node: Node, namespace: str = "") -> None:
        self._node = node
        self._prefix = f"{namespace}/" if namespace else ""
        self.answers: deque[Answer] = deque(maxlen=20)
        self.files: dict[str, str] = {}
        self._clients: list[tuple[str, Client]] = []
        self._pending: tuple[str, Future, float] | None = None
        self._instruct = self._client(SetInstruction, "policy", "a1/set_instruction")
        self._arm = self._client(SetBool, "controller", "a1/arm")
        self._stop = self._client(Trigger, "controller", "a1/stop")
        self._reset = self._client(Trigger, "controller", "a1/reset")
        self._policy_set = self._client(SetParameters, "policy", "policy/set_parameters")
        self._policy_get = self._client(GetParameters, "policy", "policy/get_parameters")
        self._controller_set = self._client(
            SetParameters, "controller", "controller/set_parameters"
        )
        self._controller_change = self._client(ChangeState, "controller", "controller/change_state")

    def instruct(self, text: str) -> None:
        """Tell the policy what to do; empty: nothing."""
        request = SetInstruction.Request(instruction=text)
        what = f"instruction '{text}'" if text else "idle"
        self._run(what, [Step(client=self._instruct, request=request, judge=_refused)])

    def arm(self, wanted: bool) -> None:
        """Arm or disarm the controller."""
        step = Step(client=self._arm, request=SetBool.Request(data=wanted), judge=_refused)
        self._run("arm" if wanted else "disarm", [step])

    def stop(self) -> None:
        """Brake at once; stays until reset. Goes out whatever else is under way."""
        self._pending = None
        self._run("stop", [Step(client=self._stop, request=Trigger.Request(), judge=_refused)])

    def reset(self) -> None:
        """From STOPPED or FAULT to DISARMED."""
        self._run("reset", [Step(client=self._reset, request=Trigger.Request(), judge=_refused)])

    def full_depth(self, wanted: bool) -> None:
        """Full depth, or exits by the thresholds, from the next inference on."""
        value = ParameterValue(
            type=ParameterType.PARAMETER_STRING, string_value="full" if wanted else "adaptive"
        )
        step = Step(client=self._policy_set, request=_set("mode", value), judge=_not_set)
        self._run("full depth" if wanted else "adaptive exits", [step])

    def shadow(self, wanted: bool) -> None:
        """Start the controller anew with the parameter `shadow`, which changes in no other way."""
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=wanted)
        steps = [
            Step(client=self._controller_set, request=_set("shadow", value), judge=_not_set)
            if transition is None
            else Step(
                client=self._controller_change,
                request=ChangeState.Request(transition=Transition(id=transition)),
                judge=_not_changed,
            )
            for transition in SHADOW_STEPS
        ]
        self._run("shadow on" if wanted else "shadow off", steps)

    def ask_files(self) -> None:
        """Ask the policy which files it uses; silent where there is no policy to ask."""
        if self._policy_get.service_is_ready():
            request = GetParameters.Request(names=list(FILE_PARAMETERS))
            self._policy_get.call_async(request).add_done_callback(self._note_files)

    def absent(self) -> list[str]:
        """Which of policy and controller do not offer all that is asked of them."""
        absent = (owner for owner, client in self._clients if not client.service_is_ready())
        return list(dict.fromkeys(absent))

    def check_time(self) -> None:
        """Give up on a call that nobody answers."""
        if self._pending is not None and time.monotonic() - self._pending[2] > PATIENCE_S:
            what = self._pending[0]
            self._pending = None
            self._answer(what, f"no answer within {PATIENCE_S:.0f} s; look at the node's log")

    def destroy(self) -> None:
        """Destroy the clients, in the thread that spins the node."""
        in_its_thread(self._node, self._destroy)

    def _destroy(self) -> None:
        for _, client in self._clients:
            self._node.destroy_client(client)

    def _client(self, kind: type, owner: str, name: str) -> Client:
        client = self._node.create_client(kind, f"{self._prefix}{name}")
        self._clients.append((owner, client))
        return client

    def _run(self, what: str, steps: Sequence[Step]) -> None:
        if self._pending is not None:
            self._answer(what, f"'{self._pending[0]}' is still under way; try again")
            return
        self._next(what, steps)

    def _next(self, what: str, steps: Sequence[Step]) -> None:
        step = steps[0]
        if not step.client.service_is_ready():
            name = self._node.resolve_service_name(step.client.srv_name)
            self._answer(
                what,
                f"nobody offers {name}; is the node active, in this ROS_DOMAIN_ID and namespace?",
            )
            return
        future = step.client.call_async(step.request)
        self._pending = (what, future, time.monotonic())
        future.add_done_callback(lambda done: self._done(what, steps, done))

    def _done(self, what: str, steps: Sequence[Step], future: Future) -> None:
        """In the thread that spins the node."""
        if self._pending is None or self._pending[1] is not future:
            return
        self._pending = None
        response = future.result()
        problem = steps[0].judge(response)
        if problem or len(steps) == 1:
            self._answer(what, problem, getattr(response, "message", ""))
        else:
            self._next(what, steps[1:])

    def _answer(self, what: str, problem: str, message: str = "") -> None:
        self.answers.append(Answer(what=what, ok=not problem, message=problem or message or "done"))

    def _note_files(self, future: Future) -> None:
        values = future.result().values
        self.files = {
            name: value.string_value for name, value in zip(FILE_PARAMETERS, values, strict=False)
        }


def _set(name: str, value: ParameterValue) -> SetParameters.Request:
    return SetParameters.Request(parameters=[Parameter(name=name, value=value)])


def _refused(response: Any) -> str:
    return "" if response.success else response.message or "refused"


def _not_set(response: SetParameters.Response) -> str:
    return "; ".join(r.reason or "refused" for r in response.results if not r.successful)


def _not_changed(response: ChangeState.Response) -> str:
    return "" if response.success else "the controller did not change its state; see its log"
