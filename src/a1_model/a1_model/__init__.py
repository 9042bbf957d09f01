"""The A1 network, its adaptive inference and its checkpoints."""
