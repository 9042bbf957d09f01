"""The package imports and a verdict keeps the wire's value."""

from a1_core.verdict import VerdictCode


def test_accepted_is_zero() -> None:
    assert VerdictCode.ACCEPTED == 0
