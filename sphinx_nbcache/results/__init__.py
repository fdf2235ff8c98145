"""Results of runs: records, outputs and artifacts, independent of the store."""
