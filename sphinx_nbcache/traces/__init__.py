"""Traces: the dependencies and products of a run, and their verification."""
