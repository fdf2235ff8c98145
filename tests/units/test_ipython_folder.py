"""What is removed of IPython's folder when notebooks have been run, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphinx_nbcache.kernels.specs import ipython_folder_as_found

README = "This is the IPython startup directory\n\n.py and .ipy files in this directory will be run"


def make_profile(folder: Path) -> None:
    """Make what each kernel makes."""
    for name in ("startup", "log", "pid", "security"):
        (folder / "profile_default" / name).mkdir(parents=True, exist_ok=True)
    (folder / "profile_default" / "startup" / "README").write_text(README)


def names(folder: Path) -> set[str]:
    """Return the paths of all that is below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("named", ["", "elsewhere", "~/elsewhere"])
def test_what_kernels_have_made_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"HOME": str(tmp_path), **({"IPYTHONDIR": named} if named else {})}
    with ipython_folder_as_found(environment):
        make_profile(tmp_path / (".ipython" if not named else "elsewhere"))
    assert names(tmp_path) == set()


def test_what_was_there_before_and_what_has_anything_in_it_stays(tmp_path: Path) -> None:
    folder = tmp_path / ".ipython"
    (folder / "profile_default" / "log").mkdir(parents=True)
    with ipython_folder_as_found({"HOME": str(tmp_path)}):
        make_profile(folder)
        (folder / "profile_default" / "pid" / "7.pid").touch()
        (folder / "profile_default" / "startup" / "README").write_text("Mine.")
    assert names(folder / "profile_default") == {
        *("log", "pid", "pid/7.pid", "startup", "startup/README"),
    }


def test_an_interruption_leaves_nothing_either(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ipython_folder_as_found({"HOME": str(tmp_path)}):
            make_profile(tmp_path / ".ipython")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == set()
