"""Traces: what a run depended on and produced, and whether the world is still so."""
