"""What a run depends on is seen alike, however its kernel was started and what was preloaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support import ipynb_text

from sphinx_nbcache import open_project
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.traces.facts import Trace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="works on Linux only"),
]

OLD_NS = 1_600_000_000_123_456_789

FILES = {
    "helper.py": "import inner\nimport numpy as np\ndef mean():\n    return np.mean(inner.NUMBERS)",
    "inner.py": "import decimal\nNUMBERS = [1, decimal.Decimal(3)]",
    "tables.py": "def table():\n    import pandas\n    return pandas.DataFrame({'a': [1]})",
    "script.py": "import json, colorsys\nfound = json.load(open('data.json'))",
    "data.json": "[1, 2]",
    "table.csv": "a,b\n1,2\n",
    "lib/far.py": "import fractions\nFAR = 1",
}
# Notebooks of one project: what is preloaded for one of them is there in all others.
NOTEBOOKS = {
    "plain": ["1 + 1", "import json, decimal, csv\ndecimal.Decimal(1)"],
    "numbers": ["import numpy as np\nnp.arange(3)", "np.random.default_rng(1).random()"],
    "frames": ["import pandas as pd\npd.read_csv('table.csv')", "pd.Timestamp('2020-01-01')"],
    "plots": ["import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"],
    "later": ["from matplotlib import colors\ncolors.to_rgb('red')", "import numpy.linalg"],
    "helpers": ["import helper\nhelper.mean()", "import tables\ntables.table()"],
    "variables": [
        "import os, numpy\nos.environ['THEIRS'], os.environ.get('MISSING'), len(dict(os.environ))",
        "os.environ['OMP_NUM_THREADS'] = '1'\nos.environ['OMP_NUM_THREADS']",
        "os.environ['MPLBACKEND']",
    ],
    "scripts": ["%run script.py\nfound", "import numpy"],
    "processes": [
        "import subprocess as s, sys\ns.run([sys.executable, '-c', 'import helper'], check=True)",
        "!cat data.json",
    ],
    "missing": [
        "try:\n    import not_there\nexcept ImportError:\n    import numpy",
        "try:\n    import pandas.not_there\nexcept ImportError:\n    pass",
    ],
    "paths": ["import sys\nsys.path.insert(0, 'lib')\nimport far, numpy\nfar.FAR"],
    "lists": ["from pathlib import Path\nimport numpy\nsorted(Path('lib').glob('*.py'))"],
    "C-level": [
        "import h5py, os\nwith h5py.File('made.h5', 'w') as file: file['a'] = 1",
        "import pandas, PIL.Image\npandas.Series([1]).to_frame()",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with notebooks, and files of old times."""
    folder = tmp_path_factory.mktemp("project")
    # Matplotlib makes it, once.
    Path("~/.config/matplotlib").expanduser().mkdir(parents=True, exist_ok=True)
    texts = {
        f"{name}.ipynb": ipynb_text([f"%%\n{c}" for c in cells], {})
        for name, cells in NOTEBOOKS.items()
    }
    for name, text in {**FILES, **texts, "pyproject.toml": ""}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(OLD_NS, OLD_NS))
    return folder


def traces(folder: Path, store: Path, **options: Any) -> dict[str, Trace]:
    """Run all notebooks, and return their traces by name."""
    (folder / "made.h5").unlink(missing_ok=True)
    told: list[Notice] = []
    project = open_project(folder, place=store, notify=told.append, **options)
    try:
        project.notebooks.add([folder / f"{name}.ipynb" for name in NOTEBOOKS])
        done = project.execute(project.plan())
        results = {s.planned.name: s.result.result for s in done.notebooks if s.result is not None}
        assert {name: result.failure for name, result in results.items() if result.failure} == {}
        found = project.store.traces(results.values())
        assert [notice.text for notice in told] == []
        return {name: found[result.trace] for name, result in results.items()}
    finally:
        project.close()


@pytest.fixture(scope="module")
def ordinary(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """The traces of kernels that Jupyter starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THEIRS", "1")
        return traces(folder, tmp_path_factory.mktemp("ordinary"), kernel_start="spawn")


@pytest.mark.parametrize("preload", ["auto", []])
def test_traces_are_the_same_by_fork(
    folder: Path,
    ordinary: dict[str, Trace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preload: Any,
) -> None:
    monkeypatch.setenv("THEIRS", "1")
    forked = traces(folder, tmp_path, kernel_start="fork", preload=preload)
    assert set(forked) == set(ordinary) == {f"{name}.ipynb" for name in NOTEBOOKS}
    for name, trace in ordinary.items():
        only = set(map(str, trace.facts)), set(map(str, forked[name].facts))
        assert (name, only[0] - only[1], only[1] - only[0]) == (name, set(), set())
        for field in ("written", "removed", "untracked", "imported_by", "unreliable"):
            assert getattr(forked[name], field) == getattr(trace, field)
