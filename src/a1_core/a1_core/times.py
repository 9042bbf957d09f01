"""Integer nanoseconds, the unit of every stamp: a name ending in `_ns` is an int of them."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
