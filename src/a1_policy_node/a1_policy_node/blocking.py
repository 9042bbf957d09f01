"""Whether the controller has stopped following: told by its verdicts, not by its state. Pure."""

from a1_core.verdict import VerdictCode

NOT_FOLLOWING = {VerdictCode.NOT_ARMED, VerdictCode.STOPPED, VerdictCode.FAULT}


class BlockWatch:
    """Watches the verdicts on one session's chunks.

    Attributes:
        code, reason: of the newest verdict in NOT_FOLLOWING; for a person.
    """

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._newest_ns = 0
        self.code = VerdictCode.ACCEPTED
        self.reason = ""

    def note(self, code: VerdictCode, detail: str, now_ns: int) -> None:
        """A verdict arrived; any other code than NOT_FOLLOWING starts the count again."""
        if code not in NOT_FOLLOWING:
            self._since_ns = None
            return
        if self._since_ns is None:
            self._since_ns = now_ns
        self._newest_ns = now_ns
        self.code = code
        self.reason = f"{code.name}: {detail}" if detail else code.name

    def blocked(self, after_ns: int) -> bool:
        """Whether every verdict of the last `after_ns` said so."""
        return self._since_ns is not None and self._newest_ns - self._since_ns >= after_ns
