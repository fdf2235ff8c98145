"""Traces: what a run depended on and produced, and whether that still holds."""
