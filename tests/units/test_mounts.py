"""A local store on a file server is warned about."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphinx_nbcache.files import mounts
from sphinx_nbcache.files.mounts import kind_of, network_file_system
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.store.store import Store

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/ada/scratch rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/a\\040b rw - cifs //server/a rw
33 22 0:42 / /srv rw - nfs server:/srv rw
34 22 8:3 / /srv rw - ext4 /dev/sdc rw
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/usr/lib", "ext4"),
        ("/home/ada/book", "nfs4"),
        ("/home/ada/scratch/book", "xfs"),
        ("/homestead", "ext4"),
        ("/mnt/a b/c", "cifs"),
        ("/srv/x", "ext4"),
    ],
)
@pytest.mark.posix
def test_the_innermost_and_latest_mount_counts(path: str, kind: str) -> None:
    assert kind_of(Path(path), TABLE) == kind


def test_a_table_that_is_not_there_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "none")
    assert network_file_system(tmp_path) == ""


@pytest.mark.posix
@pytest.mark.parametrize("kind", ["nfs4", "ext4"])
def test_a_store_on_a_file_server_is_warned_about_and_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    table = tmp_path / "table"
    table.write_text(f"22 1 8:1 / {tmp_path.resolve()} rw - {kind} x rw\n", encoding="utf-8")
    monkeypatch.setattr(mounts, "_MOUNTS", table)
    told: list[Notice] = []
    store = Store(tmp_path / "place", told.append)
    assert store.all_results() == []
    store.close()
    assert store.all_results() == []
    store.close()
    texts = [notice.text for notice in told]
    assert len(texts) == (kind == "nfs4")
    assert all("nfs4" in text and 'nbcache_remote = "file://' in text for text in texts)
