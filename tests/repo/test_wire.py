"""The core's enumerations and the wire's constants have the same names and values."""

import pytest
from a1_msgs.msg import ActionChunk, ChunkVerdict, ControllerState, ExitState, ThresholdsInfo

from a1_controllers.mode import Mode
from a1_core.chunk import ActionSpace, DeltaBase, RotationKind, Source
from a1_core.policy import ExitReason
from a1_core.verdict import VerdictCode

PAIRS = [
    (ActionSpace, ActionChunk, ""),
    (DeltaBase, ActionChunk, "DELTA_"),
    (RotationKind, ActionChunk, ""),
    (Source, ActionChunk, "SOURCE_"),
    (VerdictCode, ChunkVerdict, ""),
    (Mode, ControllerState, ""),
    (ExitReason, ExitState, ""),
]


def constants(message) -> dict[str, int]:
    names = [name for name in dir(type(message)) if name.isupper()]
    return {name: getattr(message, name) for name in names}


@pytest.mark.parametrize(("enumeration", "message", "prefix"), PAIRS)
def test_names_and_values_agree(enumeration, message, prefix):
    wire = constants(message)
    assert {prefix + member.name: member.value for member in enumeration}.items() <= wire.items()


@pytest.mark.parametrize(
    "message", [ActionChunk, ChunkVerdict, ControllerState, ExitState, ThresholdsInfo]
)
def test_scalars_come_before_arrays(message):
    kinds = message.get_fields_and_field_types().values()
    is_array = [kind.startswith("sequence<") for kind in kinds]
    assert is_array == sorted(is_array)
