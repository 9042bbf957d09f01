"""Asks the recorder for an episode and says how it went, on behalf of an operator."""

from typing import Any

from a1_msgs.srv import LabelEpisode, StartRecording, StopRecording

from a1_core.errors import A1Error
from a1_sim.operator_node import Operator


class RecorderClient:
    """Uses the operator's node; its methods wait as the operator's do, and raise A1Error."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        make = operator.create_client
        self._clients = {
            StartRecording: make(StartRecording, "a1/start_recording"),
            StopRecording: make(StopRecording, "a1/stop_recording"),
            LabelEpisode: make(LabelEpisode, "a1/label_episode"),
        }

    def start(self, instruction: str, driver: str) -> str:
        """Open an episode; its name."""
        return str(self._ask(StartRecording, instruction=instruction, driver=driver).episode_id)

    def stop(self, *, success: bool, note: str) -> str:
        """Label the episode in hand and close it; where its bag lies."""
        outcome = LabelEpisode.Request.SUCCESS if success else LabelEpisode.Request.FAILURE
        self._ask(LabelEpisode, outcome=outcome, note=note)
        return str(self._ask(StopRecording).path)

    def _ask(self, kind: Any, **fields: Any) -> Any:
        client = self._clients[kind]
        answer = self._operator.answer(client.call_async(kind.Request(**fields)), client.srv_name)
        if not answer.success:
            raise A1Error(f"{client.srv_name}: {answer.message}")
        return answer
