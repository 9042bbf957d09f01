"""The package imports and refuses a budget that says nothing."""

import pytest

from a1_calibration.request import parse_budget
from a1_core.errors import ThresholdsError


def test_a_budget_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ThresholdsError, match="depth, flops, ms, hz"):
        parse_budget("watts=3")
