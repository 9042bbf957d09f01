"""Chunks in, robot commands out: one controller node, one adapter per vendor protocol."""
