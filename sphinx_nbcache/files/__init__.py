"""File primitives: atomic writes, safe moves, stats, paths and globs."""
