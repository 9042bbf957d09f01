"""The barrier of the lock-stepped clock: who has to acknowledge a tick before time goes on."""

from collections.abc import Iterable

POLICY, CONTROLLER = "policy", "controller"


class Barrier:
    """Closed at every control tick, opened by acknowledgements of that tick.

    On camera ticks the policy has to acknowledge; at every tick the controller, and when a chunk
    was sent during the tick (the policy's acknowledgement or `chunk_sent` names another one than
    before), the controller must have judged that one. Numbers may begin anew with a new session.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self._nodes = frozenset(nodes)
        self._tick_ns = 0
        self._camera_tick = False
        self._known_seq = 0
        self._stamp_ns: dict[str, int] = {}
        self._seq: dict[str, int] = {}

    def close(self, tick_ns: int, *, camera_tick: bool) -> None:
        """Wait for the tick at `tick_ns`."""
        self._tick_ns, self._camera_tick = tick_ns, camera_tick
        self._known_seq = self._seq.get(POLICY, 0)

    def ack(self, node: str, stamp_ns: int, seq: int) -> None:
        """Take an acknowledgement; an older one than the newest is without effect on the stamp."""
        if stamp_ns >= self._stamp_ns.get(node, 0):
            self._stamp_ns[node] = stamp_ns
            self._seq[node] = seq

    def chunk_sent(self, seq: int) -> None:
        """A chunk of our own that the controller has to judge too."""
        self._seq[POLICY] = seq

    def forget_chunks(self) -> None:
        """The source of chunks begins anew; nothing it sent before is waited for."""
        self._seq[POLICY] = self._known_seq = 0

    @property
    def missing(self) -> tuple[str, ...]:
        """Who is still waited for."""
        names = []
        if POLICY in self._nodes and self._camera_tick and not self._acked(POLICY):
            names.append(POLICY)
        if CONTROLLER in self._nodes and not (self._acked(CONTROLLER) and self._judged()):
            names.append(CONTROLLER)
        return tuple(names)

    @property
    def open(self) -> bool:
        """Whether time may go on."""
        return not self.missing

    def _acked(self, node: str) -> bool:
        return self._stamp_ns.get(node, 0) >= self._tick_ns

    def _judged(self) -> bool:
        sent = self._seq.get(POLICY, 0)
        return sent in (self._known_seq, self._seq.get(CONTROLLER, 0))
