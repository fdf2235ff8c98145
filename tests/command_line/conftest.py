"""A folder for each test, in which commands are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from support_cli import CommandLine


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line in an empty folder."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "JUPYTERCACHE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    return CommandLine(folder, capsys)
