"""What several notebooks of this book need. A module, not a page: it has no jupytext header."""

from pathlib import Path

import pandas as pd

DATA = Path("data/mill_gauge.csv")
PATH_CLOSED_CM = 200


def read_gauge() -> pd.DataFrame:
    """Return the daily readings, by date."""
    return pd.read_csv(DATA, parse_dates=["date"], index_col="date")
