"""Every option, declared once.

A field of [](Settings) made by [](option) is the only place where an option is named. From it
come the registration with Sphinx (`nbcache_` + name), the validation, the rebuild class, the
override in a notebook's metadata, the flag of `execute`, the part of the code key, and the
reference in the documentation. The code that uses the option reads it from the settings of a
notebook, in which the override has taken its place (see [](Scan.settings)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

from sphinx_nbcache import values
from sphinx_nbcache.looks import Looks
from sphinx_nbcache.options import (
    AUTO,
    CORES,
    PREFIX,
    Flag,
    Option,
    OptionError,
    OptionProblem,
    option,
)
from sphinx_nbcache.text import did_you_mean, shown

ExecuteMode = Literal["changed", "missing", "force", "off", "frozen", "renderer"]
OnError = Literal["warn", "fail", "stop"]
KernelStart = Literal["auto", "light", "fork", "spawn"]
TracerKind = Literal["auto", "system", "python"]
RunIn = Literal["notebook", "root", "temp"]
Untraced = Literal["reuse", "run"]
RetryFailed = Literal["auto", "always", "changed"]
RendererChoice = Literal["auto", "own", "nbsphinx", "myst_nb"]
RemoteMode = Literal["read", "read-write"]
Ci = Literal["auto", "github", "off"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Looks):
    """The options of one project, checked. Build it by [](read_settings) from raw values."""

    execute: ExecuteMode = option(
        "changed",
        values.execute_mode,
        is_strict=True,
        per_notebook="nbcache.execute",
        own=values.own_execute_mode,
        expects='`"changed"`, `"missing"`, `"force"`, `"off"`, `"frozen"`, `"renderer"`',
        help='The notebooks that are run. `"changed"`: those for which the store has no valid'
        ' result. `"missing"`: the same, except notebooks whose file has an output or an execution'
        ' count; their pages show the outputs in the file. `"force"`: all; results older than this'
        ' build do not count. `"off"`: none; pages show the outputs in the files. `"frozen"`: none;'
        ' a notebook without a valid result is an error. `"renderer"`: as the option of nbsphinx or'
        " MyST-NB says, if one of them renders the notebooks, where it is the default; otherwise"
        ' the same as `"changed"`. In a notebook, the first four are possible: its `"off"`'
        ' always counts, the others unless the project has `"off"`, `"frozen"` or `"force"`.',
    )
    rerun: tuple[str, ...] = option(
        [],
        values.glob_list,
        # A later command must not run the same notebooks once more.
        is_lasting=False,
        expects="a list of pages or globs of notebooks, relative to the source directory",
        help="Notebooks that this build runs again, although the store has a valid result for"
        " them: `sphinx-build -D nbcache_rerun=guide/fit`. The suffix may be left out; a folder"
        " stands for all notebooks below it. Excluded notebooks are not run, and with"
        ' `nbcache_execute = "off"` or `"frozen"` none is; a warning says so. A name that matches'
        " no notebook is a warning, too. On the command line, use `execute --force`.",
    )
    renderer: RendererChoice = option(
        AUTO,
        values.one_of(AUTO, "own", "nbsphinx", "myst_nb"),
        is_strict=True,
        rebuild="env",
        expects='`"auto"`, `"own"`, `"nbsphinx"`, `"myst_nb"`',
        help='What renders the pages of notebooks. `"auto"`: nbsphinx or MyST-NB if `conf.py` loads'
        " it, with its rules for what a notebook is, and its options; if both are loaded, the one"
        " whose parser reads the file type. Notebooks are run and their results kept as always."
        ' `"own"`: this extension, which cannot stand next to MyST-NB. `"nbsphinx"`, `"myst_nb"`:'
        " this one alone.",
    )
    root: str | None = option(
        None,
        values.path,
        expects="a path, relative to the source directory",
        in_key="indirect",
        help="The directory to which stored paths are relative. By default the nearest parent of"
        " the source directory that has `.git` or `pyproject.toml`, else the source directory.",
    )
    store: str | None = option(
        None,
        values.path,
        expects="a path, relative to the source directory",
        help="The folder of the store. By default the environment variable `JUPYTERCACHE`, else"
        " `.jupyter_cache` next to the output directory.",
    )
    remote: str | None = option(
        None,
        values.remote,
        expects='`"s3://…"`, `"gs://…"`, `"az://…"`, `"file:///…"` or `"https://…"`, without a user'
        " or a password",
        help="A shared store behind the local one: a bucket, a folder, or a web site (see"
        " [](../how-to/share-results.md)). Results for notebooks that would have to be run are"
        " looked for there first. Buckets need the extra `remote`, and take their credentials from"
        " the environment.",
    )
    remote_mode: RemoteMode = option(
        "read",
        values.one_of("read", "read-write"),
        expects='`"read"`, `"read-write"`',
        help="Whether results are only read from the shared store, or also published there.",
    )
    # Not for single notebooks: a notebook from elsewhere must not permit itself to replace files.
    restore: tuple[str, ...] = option(
        [],
        values.glob_list,
        expects="a list of globs, relative to the source directory",
        help="Files written by notebooks that a build may restore although another account made"
        " the result, or although git tracks them and has their present content. Without it,"
        " their notebooks are run instead (see [](../explanation/security.md)). Configuration,"
        " pages, and files in folders of version control are never restored.",
    )
    exclude: tuple[str, ...] = option(
        [],
        values.glob_list,
        expects="a list of globs, relative to the source directory",
        help="Notebooks that are never run. Their pages show the outputs in the files."
        " `*` stops at a slash, `**` does not.",
    )
    dependencies: Mapping[str, tuple[str, ...]] = option(
        {},
        values.globs_by_notebook,
        expects="a dictionary from a glob of notebooks to a list of globs of files, or such a list"
        " for all notebooks; relative to the source directory",
        per_notebook="nbcache.dependencies",
        # The list belongs to one notebook. It is not split at commas, which file names may contain.
        own=values.text_list,
        is_added=True,
        help="Files that notebooks depend on, in addition to those that the tracer observes: for"
        " reads that it cannot observe, and for languages other than Python. A notebook's own list"
        " is relative to its folder, and is added.",
    )
    ignore: tuple[str, ...] = option(
        [],
        values.glob_list,
        expects="a list of globs, relative to the source directory",
        help="Files and folders that never count as dependencies, such as logs and time stamps.",
    )
    track: tuple[str, ...] = option(
        list(values.TRACKED),
        values.kinds,
        expects='a list of `"files"`, `"imports"`, `"versions"`, `"environment"`',
        per_notebook="nbcache.track",
        help="The kinds of dependencies that count, in addition to declared ones: files that a"
        " notebook reads, modules that it imports, versions of packages, environment variables."
        " With an empty list, notebooks are not traced, and only their code counts.",
    )
    tracer: TracerKind = option(
        AUTO,
        values.one_of(AUTO, "system", "python"),
        expects='`"auto"`, `"system"`, `"python"`',
        per_notebook="nbcache.tracer",
        help='How the files that a notebook reads and writes are observed. `"python"`: by a tracer'
        " in kernels of Python, for which names in the code stand for what libraries in C read;"
        ' other languages not at all. `"system"`: on Linux, all processes of a kernel in any'
        ' language, by the system, in addition to that tracer. `"auto"`: `"python"` for kernels'
        ' of Python, `"system"` for all others. Where the system cannot do it, `"system"` is the'
        ' same as `"python"`. Programs such as `sudo` cannot change their user under it.',
    )
    untraced: Untraced = option(
        "reuse",
        values.one_of("reuse", "run"),
        expects='`"reuse"`, `"run"`',
        help="Results whose dependencies were not tracked, although the kernel could have been"
        ' traced: those that were added, or imported from jupyter-cache. `"reuse"`: they are valid'
        ' while the code is unchanged. `"run"`: their notebooks are run.',
    )
    retry_failed: RetryFailed = option(
        "auto",
        values.one_of("auto", "always", "changed"),
        expects='`"auto"`, `"always"`, `"changed"`',
        help='When a notebook that failed is run again. `"always"`: in every build.'
        ' `"changed"`: when something that it depends on has changed. `"auto"`: as with'
        ' `"changed"` if a cell raised an exception and everything that the run depended on is'
        " known; in every build after a time limit, a dead or missing kernel, or if the run used"
        " the network, a subprocess or a library that reads files in C. A cell that reads the"
        ' clock is not seen to do so: such a notebook needs `"always"`.'
        " `sphinx-nbcache execute -f PATH` runs a notebook at once.",
    )
    executor: str = option(
        "local-parallel",
        values.name,
        expects='`"local-serial"`, `"local-parallel"`, `"temp-serial"`, `"temp-parallel"`, or the'
        " name of one that an installed package announces",
        flag=Flag(
            ("-e", "--executor"),
            "executor",
            "How and where notebooks are run: local-serial, local-parallel, temp-serial,"
            " temp-parallel, or what another package announces.",
            "NAME",
        ),
        in_key="indirect",
        help="How and where notebooks are run. `serial`: one after another; `parallel`: several"
        " at once. `local`: where `nbcache_run_in` says; `temp`: each in a temporary folder.",
    )
    run_in: RunIn = option(
        "notebook",
        values.RUN_IN,
        expects='`"notebook"`, `"root"`, `"temp"`',
        in_key="indirect",
        per_notebook="nbcache.run_in",
        help="The folder in which a kernel works: the notebook's own, the root, or a temporary one"
        " that has copies of the notebook's assets. With the executors `temp-…` it is always a"
        " temporary one.",
    )
    # Not in the code key: a variable counts by the facts of the trace, even if the value is secret.
    environment: Mapping[str, str | None] = option(
        {},
        values.environment,
        expects="a dictionary from names to strings; `None` takes a variable away",
        help="Environment variables of kernels, in addition to those of the build. A kernelspec"
        " overrides them. Notebooks are run again when one changes, unless its name looks like that"
        " of a secret.",
    )
    kernel_arguments: Mapping[str, tuple[str, ...]] = option(
        [],
        values.arguments_by_kernel,
        expects="a list of strings, or a dictionary from a regular expression to such a list",
        in_key="indirect",
        help="Further command-line arguments of kernels, such as"
        ' `--InlineBackend.figure_formats={"svg"}`: of all, or of those whose whole name an'
        " expression matches.",
    )
    jobs: int | None = option(
        CORES,
        values.jobs,
        expects='`"auto"` or a whole number',
        flag=Flag(("-j", "--jobs"), "positive", "How many are run at once.", "N"),
        help='How many notebooks an executor runs at once, unless it is a serial one; `"auto"` is'
        " one for each core.",
    )
    kernel_start: KernelStart = option(
        AUTO,
        values.one_of(AUTO, "light", "fork", "spawn"),
        expects='`"auto"`, `"light"`, `"fork"`, `"spawn"`',
        help='How kernels are started. `"auto"`: by a fork of a process that has loaded ipykernel,'
        " where that is possible: on Linux, for kernelspecs that start an ipykernel in the usual"
        ' way. Elsewhere, in the same way as Jupyter starts them. `"fork"`: the same as `"auto"`,'
        ' with a warning where a fork is not possible. `"light"`: the same as `"fork"`, but with'
        " light kernels, which have one thread and no sockets, except for notebooks that need what"
        ' these lack, such as a debugger. `"spawn"`: always in the same way as Jupyter starts them.'
        " The results of notebooks are the same.",
    )
    preload: tuple[str, ...] | str = option(
        AUTO,
        values.preloaded_modules,
        expects='`"auto"` or a list of modules',
        help='The modules that are imported before kernels are forked. `"auto"`: those that the'
        " notebooks to be run import, if they are known to work the same when they are imported"
        " early. A list: these modules. An empty list: none.",
    )
    timeout: float | None = option(
        600,
        values.time_limit,
        expects="seconds, or `None` for no limit",
        per_notebook="execution.timeout",
        flag=Flag(
            ("-t", "--timeout"),
            "seconds",
            "How long a cell may take; 'none' for no limit.",
            "SECONDS",
        ),
        help="How long one cell may run.",
    )
    notebook_timeout: float | None = option(
        None,
        values.time_limit,
        expects="seconds, or `None` for no limit",
        per_notebook="nbcache.notebook_timeout",
        help="How long a whole notebook may run, with the start of its kernel.",
    )
    output_limit: float | None = option(
        50,
        values.megabytes,
        expects="megabytes, or `None` for no limit",
        help="How much one cell may put out, text and images. What is beyond ends the run as a"
        " failure; the page shows what came before, and a note where it was cut.",
    )
    notebook_output_limit: float | None = option(
        200,
        values.megabytes,
        expects="megabytes, or `None` for no limit",
        help="How much all cells of a notebook together may put out.",
    )
    allow_errors: bool | tuple[str, ...] = option(
        False,  # noqa: FBT003 (a default, not a call's flag)
        values.switch_or_globs,
        expects="`True`, `False`, or a list of globs of notebooks, relative to the source"
        " directory",
        # The key in the metadata is that of jupyter-cache, as for `timeout`.
        per_notebook="execution.allow_errors",
        own=values.switch,
        flag=Flag(
            ("--allow-errors/--no-allow-errors",),
            "switch",
            "Continue after a cell that raises an exception, and count the run as a success.",
        ),
        help="Continue after a cell that raises an exception, and count the run as a success: in"
        " all notebooks, or in some. For single cells, use the tag `raises-exception`, or name the"
        " exceptions in their metadata (see [](../how-to/failing-notebooks.md)).",
    )
    retries: int = option(
        0,
        values.whole_number,
        expects="a whole number",
        per_notebook="nbcache.retries",
        flag=Flag(("--retries",), "count", "How often a notebook that failed is run again.", "N"),
        help="How often a notebook that failed is run again in the same build. The log and the"
        " report name the notebooks that needed it.",
    )
    on_error: OnError = option(
        "warn",
        values.one_of("warn", "fail", "stop"),
        per_notebook="nbcache.on_error",
        expects='`"warn"`, `"fail"`, `"stop"`',
        help='The effect of a failed notebook. `"warn"`: a warning. `"fail"`: the build goes on to'
        ' its end, and exits with status 1. `"stop"`: the build ends at once.',
    )
    log_tracebacks: bool = option(
        False,  # noqa: FBT003
        values.switch,
        in_myst_nb="execution_show_tb",
        expects="`True` or `False`",
        help="Show in the log the traceback of each notebook that failed in this build, as for"
        " builds on a server. The page and the report always show it.",
    )
    metadata_key: str = option(
        "mystnb",
        values.name,
        rebuild="env",
        in_myst_nb="cell_metadata_key",
        expects="a name",
        help="The section in the metadata of notebooks and cells that has the looks of cells in the"
        " words of MyST-NB (see [](../reference/notebooks.md)). The section `nbcache` counts as"
        " well, and takes precedence.",
    )
    write_executed: bool | str = option(
        AUTO,
        values.switch_or_path,
        expects='`"auto"`, `True`, `False`, or a path relative to the source directory',
        help="Where each notebook is written as an `.ipynb` file, with the outputs that its page"
        " shows (see [](../how-to/executed-notebooks.md)). `True`: in the folder `jupyter_execute`"
        " next to the output directory, where launch buttons of themes expect it. A path: in that"
        " folder, which must be new, empty, or written by an earlier build. `False`: nowhere."
        ' `"auto"`: as with `True` if `html_theme_options` has `launch_buttons`, else nowhere.'
        " Where nbsphinx or MyST-NB renders the notebooks, the option has no effect.",
    )
    ci: Ci = option(
        AUTO,
        values.one_of(AUTO, "github", "off"),
        expects='`"auto"`, `"github"`, `"off"`',
        flag=Flag(
            ("--ci/--no-ci",),
            "switch",
            "Write annotations and the summary of the job for GitHub Actions. By default where"
            " GITHUB_ACTIONS is set, unless nbcache_ci says otherwise.",
            switch=("github", "off"),
        ),
        help='Output for a CI system, in addition to the log. `"github"`: failures and warnings of'
        " notebooks become annotations in the sources, and the summary of the job shows which"
        ' notebooks ran, why, and which failed. `"auto"`: the same if GitHub Actions runs the'
        ' build, which sets `GITHUB_ACTIONS`. `"off"`: none.',
    )
    kernel_aliases: Mapping[str, str] = option(
        {},
        values.aliases,
        expects="a dictionary from regular expression to kernel name",
        in_key="indirect",
        help="Other names for kernels. The first expression that matches the whole name counts.",
    )
    formats: Mapping[str, str] = option(
        {},
        values.formats,
        expects="a dictionary from suffix to format or reader",
        rebuild="env",
        in_key="indirect",
        help="Further notebook formats: a suffix such as `.py`, and what reads it. That is a format"
        " of jupytext such as `py:percent`; `module:function`, a function from text to an nbformat"
        " notebook; or the name of a reader (`nbformat`, `jupytext`, `myst`, or what an installed"
        " package announces). A script counts as a notebook only if it has a jupytext header;"
        " `conf.py` never does.",
    )
    scripts: str = option(
        "cdn",
        values.place_of_scripts,
        rebuild="html",
        expects='`"cdn"`, `"local"`, or a path relative to the source directory',
        help="Where the script libraries of charts, widgets and JavaScript come from; only pages"
        ' that need one load it. `"cdn"`: from cdn.jsdelivr.net and cdn.bokeh.org, in fixed'
        ' versions that browsers compare with a hash. `"local"`: from `_static`, copied from'
        " installed packages; outputs load nothing from other hosts. A path: the same, and a"
        " library that no package has comes from that folder, such as one that npm has filled"
        " (see [](../how-to/live-outputs.md)).",
    )
    cli_root: str | None = option(
        None,
        values.path,
        expects="a path, relative to the source directory",
        rebuild="env",
        help="The folder in which the commands of [`jcache-cli`](directives.md) run. By default"
        " the parent of the source directory.",
    )
    cli_store: str | None = option(
        None,
        values.path,
        expects="a path, relative to the source directory",
        rebuild="env",
        help="The folder of a store on which the commands of all pages work, one page at a time."
        " By default each page has a store of its own, which is empty when the page is read."
        " It cannot be the store of the build.",
    )


@cache
def declared_options() -> dict[str, tuple[Option, Any]]:
    """Return name → (declaration, raw default) of every option, in order of declaration."""
    # `fields` keeps the order of declaration, which is that of the reference and of `execute
    # --help`.
    declared = {f.name: (f.metadata["option"], f.metadata["raw"]) for f in fields(Settings)}
    return {name: item for name, item in declared.items() if item[0].is_project_wide}


def execute_mode_of(
    project: ExecuteMode, own: ExecuteMode | None, renderers: ExecuteMode
) -> ExecuteMode:
    """Return the execution mode of one notebook.

    Args:
        project: The option `nbcache_execute`.
        own: The mode in the metadata of the notebook, if there is one.
        renderers: The mode that counts if the project leaves it to its renderer.
    """
    usual = renderers if project == "renderer" else project
    # A build that is off or frozen promises to run nothing, and one by force to run all that is to
    # be run at all.
    is_order = project in ("off", "frozen", "force")
    return usual if own is None or (is_order and own != "off") else own


@cache
def overrides() -> dict[str, Option]:
    """Return name → declaration of the options that a notebook's metadata override."""
    return {n: declared for n, (declared, _) in declared_options().items() if declared.per_notebook}


def own_check(name: str) -> Callable[[Any], Any]:
    """Return the check of the value in a notebook's metadata that overrides an option."""
    declared = overrides()[name]
    # A list of globs makes no sense in the metadata of one notebook: there, the option is a switch.
    return declared.own or declared.check


def key_values(settings: Settings) -> dict[str, Any]:
    """Return the options whose values are part of code keys, without those that have defaults."""
    return {
        name: value
        for name, (declared, default) in declared_options().items()
        if declared.in_key == "value"
        # Without defaults, a new option does not change the code keys of existing results.
        and (value := getattr(settings, name)) != declared.check(default)
    }


def read_settings(raw: Mapping[str, Any]) -> tuple[Settings, list[OptionProblem]]:
    """Check raw values, by option name.

    Returns:
        The settings, and a problem for each value or entry that could not be used. A bad value
        costs that option, which has its default then; a bad entry of a mapping costs that entry.

    Raises:
        OptionError: The value of a strict option cannot be used.
    """
    checked: dict[str, Any] = {}
    problems: list[OptionProblem] = []
    for name, (declared, default) in declared_options().items():
        # One at a time: a bad value must not reset the other options.
        checked[name], found = _checked(PREFIX + name, declared, raw.get(name, default), default)
        problems += found
    return Settings(**checked), problems


def _checked(
    name: str, declared: Option, value: Any, default: Any
) -> tuple[Any, list[OptionProblem]]:
    """Return what to use for the raw value of an option, and what is wrong with that value."""
    try:
        return declared.check(value), []
    # Before ValueError, its base class: only the bad entries are left out.
    except values.BadEntriesError as error:
        texts = (
            _sentence(
                f"{name}[{shown(key)}] = {shown(entry)} is not {expected}", "that entry is left out"
            )
            for key, entry, expected in error.bad
        )
        return error.usable, [OptionProblem(name, text) for text in texts]
    except ValueError as expected:
        wrong = f"{name} = {shown(value)} is not {expected}"
        # A default for such an option could run, or skip, every notebook of the project.
        if declared.is_strict:
            raise OptionError(name, wrong) from None
        text = _sentence(wrong, f"the default {default!r} is used")
        # Checked once more: the default is the raw value, as in `conf.py`.
        return declared.check(default), [OptionProblem(name, text)]


def _sentence(wrong: str, instead: str) -> str:
    """Put together what is wrong, which may end with a question, and what is used instead."""
    if wrong.endswith("?"):
        return f"{wrong} {instead[0].upper()}{instead[1:]}"
    return f"{wrong}; {instead}"


def unknown_option(name: str) -> str:
    """Return what to say of an option that there is not.

    Args:
        name: Its name in `conf.py`.
    """
    known = [PREFIX + option for option in declared_options()]
    return f"there is no option `{name}`{did_you_mean(name, known)}"


def checked_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings for options that a program gives.

    Args:
        options: Options, named as in `conf.py` without `nbcache_`.

    Raises:
        ValueError: An option is unknown or has a value that cannot be used.
    """
    known = declared_options()
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"unknown options: {', '.join(unknown)}{did_you_mean(unknown[0], known)}")
    settings, problems = read_settings(options)
    # Unlike `conf.py`, a program can correct its call: it gets an exception instead of a warning.
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    return settings
