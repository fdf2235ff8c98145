"""What a run depends on, and what it shows, is the same however its kernel was started.

Also what was preloaded makes no difference.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import ipynb_text

from sphinx_nbcache import open_project
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.project.differences import differences
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.traces.facts import File
from sphinx_nbcache.traces.trace import Trace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only"),
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
    "lib/wcwidth.py": "WIDTH = 1",
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
        "import os, numpy\nos.environ['THEIRS'], os.environ.get('MISSING'), dict(os.environ) != 1",
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
    "other": [
        (
            "import sys\nsys.path.insert(0, 'lib')\nsys.modules.pop('wcwidth', None)\n"
            "import wcwidth, numpy\nwcwidth.WIDTH"
        )
    ],
    "lists": ["from pathlib import Path\nimport numpy\nsorted(Path('lib').glob('*.py'))"],
    "C-level": [
        "import h5py, os\nwith h5py.File('made.h5', 'w') as file: file['a'] = 1",
        "import pandas, PIL.Image\npandas.Series([1]).to_frame()",
    ],
    "figures": [
        "import matplotlib.pyplot as plt, numpy as np\nplt.style.use('ggplot')",
        (
            "figure, axes = plt.subplots(2, 2, figsize=(4, 3))\n"
            "axes[0, 0].hist(np.sin(range(99)))\naxes[1, 1].imshow(np.eye(5), cmap='viridis')\n"
            "figure.suptitle('$x^2$')"
        ),
        (
            "%config InlineBackend.figure_formats = ['svg']\n"
            "%config InlineBackend.print_figure_kwargs = {'metadata': {'Date': None}}\n"
            "plt.rcParams.update({'svg.hashsalt': '1', 'svg.fonttype': 'none'})\n"
            "plt.plot([3, 1, 2])\nplt.gca().set_title('svg'); None"
        ),
        (
            "from matplotlib.animation import FuncAnimation\nfigure, axis = plt.subplots()\n"
            "line, = axis.plot([0, 1])\n"
            "len(FuncAnimation(figure, lambda n: (line,), 2).to_jshtml()) > 9"
        ),
    ],
    "analysis": [
        (
            "import pandas as pd, numpy as np\n"
            "frame = pd.DataFrame(np.random.default_rng(1).random((20, 3)), columns=list('abc'))\n"
            "frame.head()"
        ),
        "frame.describe()",
        "frame.style.format(precision=2).set_uuid('same').to_html()",
        "frame.groupby(frame.a > 0.5).mean()",
        "frame.plot.scatter('a', 'b')",
        "frame.rolling(3).b.mean().plot()",
        "frame.info()",
        "pd.set_option('display.max_rows', 4)\nframe",
        "frame.missing",
    ],
    "widgets": [
        "import ipywidgets as w\nfrom IPython.display import display",
        "slider = w.IntSlider(value=3, description='slider')\nslider",
        (
            "text = w.Text('text')\nw.jslink((slider, 'value'), (w.IntProgress(), 'value'))\n"
            "display(w.VBox([text, w.Tab([w.HTML('<b>1</b>'), w.Checkbox(True)])]))"
        ),
        "out = w.Output()\nwith out: print('inside'); display('shown')\nout",
        "@w.interact(n=(0, 10))\ndef square(n=4): print(n * n)",
        "slider.value = 7",
    ],
    "shown": [
        "from IPython.display import *\ndisplay(Markdown('*a*'), Math('x'), JSON({'a': [1]}))",
        "handle = display('first', display_id='same')\nhandle.update('second')",
        "import sys\nfor n in range(3): print(n, end='\\r'); print(n, file=sys.stderr)",
        "print('gone'); clear_output(); print('stays')",
        "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')",
        "1 / 0",
        "%%html\n<i>magic</i>",
        "%%bash\necho shell",
    ],
}
# These go on behind a cell that raises an exception.
RAISING = {"analysis", "shown"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with notebooks, and files of old times."""
    folder = tmp_path_factory.mktemp("project")
    # Matplotlib makes it, once.
    Path("~/.config/matplotlib").expanduser().mkdir(parents=True, exist_ok=True)
    texts = {
        f"{name}.ipynb": ipynb_text(
            [f"%%\n{c}" for c in cells], {"execution": {"allow_errors": name in RAISING}}
        )
        for name, cells in NOTEBOOKS.items()
    }
    for name, text in {**FILES, **texts, "pyproject.toml": ""}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(OLD_NS, OLD_NS))
    return folder


@dataclass(frozen=True)
class Seen:
    """What was seen of a run."""

    trace: Trace
    outputs: RunOutputs


def runs(folder: Path, store: Path, names: Iterable[str], **options: Any) -> dict[str, Seen]:
    """Run notebooks, and return what was seen of them by name."""
    (folder / "made.h5").unlink(missing_ok=True)
    told: list[Notice] = []
    project = open_project(folder, place=store, notify=told.append, **options)
    try:
        project.notebooks.add([folder / name for name in names])
        done = project.execute(project.plan())
        results = {s.planned.name: s.result.result for s in done.notebooks if s.result is not None}
        assert {name: result.failure for name, result in results.items() if result.failure} == {}
        found = project.store.traces(results.values())
        assert [notice.text for notice in told] == []
        return {
            name: Seen(found[result.trace], project.store.outputs(result))
            for name, result in results.items()
        }
    finally:
        project.close()


ALL = tuple(f"{name}.ipynb" for name in NOTEBOOKS)


@pytest.fixture(scope="module")
def ordinary(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """What is seen of kernels that Jupyter starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THEIRS", "1")
        return runs(folder, tmp_path_factory.mktemp("ordinary"), ALL, kernel_start="spawn")


@pytest.mark.parametrize("start", ["fork", "light"])
@pytest.mark.parametrize("preload", ["auto", []])
def test_traces_and_outputs_are_the_same_by_fork(  # noqa: PLR0913, PLR0917 (fixtures)
    folder: Path,
    ordinary: dict[str, Seen],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preload: Any,
    start: str,
) -> None:
    monkeypatch.setenv("THEIRS", "1")
    forked = runs(folder, tmp_path, ALL, kernel_start=start, preload=preload)
    assert set(forked) == set(ordinary) == set(ALL)
    for name, seen in ordinary.items():
        trace, other = seen.trace, forked[name].trace
        only = set(map(str, trace.facts)), set(map(str, other.facts))
        assert (name, only[0] - only[1], only[1] - only[0]) == (name, set(), set())
        for field in ("written", "removed", "untracked", "imported_by", "unreliable"):
            assert getattr(other, field) == getattr(trace, field)
        assert (name, differences(seen.outputs, forked[name].outputs)) == (name, {})


def test_a_module_counts_that_takes_the_name_of_one_that_every_kernel_has(
    ordinary: dict[str, Seen],
) -> None:
    files = {f.path: f.module for f in ordinary["other.ipynb"].trace.facts if isinstance(f, File)}
    assert files["lib/wcwidth.py"]


def test_these_notebooks_show_something(ordinary: dict[str, Seen]) -> None:
    kinds = {
        mime
        for seen in ordinary.values()
        for cell in seen.outputs.cells
        for output in cell
        for mime in (output.get("data") or [output["output_type"]])
    }
    assert kinds >= {
        *("stream", "error", "text/plain", "text/html", "image/png", "image/svg+xml"),
        *("text/markdown", "application/json", "application/vnd.jupyter.widget-view+json"),
    }
    assert len(ordinary["widgets.ipynb"].outputs.widgets["state"]) > 10


def test_the_example_book_is_the_same_by_fork(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    ignored = shutil.ignore_patterns("_build", ".jupyter_cache", "__pycache__")
    shutil.copytree(Path(__file__).parents[2] / "example_book", folder, ignore=ignored)
    (folder / "pyproject.toml").touch()
    names = ["spring.ipynb", "wet-days.md", "bad-readings.md", "discharge.py"]
    options = {"allow_errors": True, "formats": {".py": "py:percent"}}
    one = runs(folder, tmp_path / "1", names, kernel_start="fork", **options)
    two = runs(folder, tmp_path / "2", names, kernel_start="spawn", **options)
    assert len(one) == len(names)
    for name, seen in one.items():
        assert (name, differences(seen.outputs, two[name].outputs)) == (name, {})
