"""Results: what a run is, wherever it is kept."""
