"""Recorded bags in, certified exit thresholds and a report out."""
