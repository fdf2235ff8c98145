"""Makes facts about files and packages from the evidence of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sphinx_nbcache.bounded import LONGEST_NAME
from sphinx_nbcache.traces.distributions import Environment, normalised, parse_info
from sphinx_nbcache.traces.evidence import RunEvidence
from sphinx_nbcache.traces.facts import (
    Absent,
    Baseline,
    Directory,
    Distribution,
    EntryPoints,
    EnvironmentPart,
    EnvironmentVariable,
    Fact,
    File,
    Interpreter,
    SearchPath,
    Source,
    Uninstalled,
    Unshadowed,
)
from sphinx_nbcache.traces.fingerprints import GONE, OTHER
from sphinx_nbcache.traces.report import ChildImport, Look, TracerReport
from sphinx_nbcache.traces.variables import OF_KERNELS, PYTHON_VARIABLES, is_secret
from sphinx_nbcache.traces.world import modules_in

# File times come from a coarser clock than `time.time_ns`: on Linux, it advances once per scheduler
# tick, at most 10 ms (https://man7.org/linux/man-pages/man2/clock_gettime.2.html, *COARSE*).
_TICK_NS = 10_000_000
# The longest name of a file, in bytes, on all file systems in use.
_LONGEST = 255
# The fact `Baseline` stands for these, with fewer parts of the version.
_BASELINE = frozenset({"ipython", "ipykernel"})


def file_facts(evidence: RunEvidence, environment: Environment | None) -> Iterator[Fact]:
    """Yield the facts about files and directories, sorted by name.

    Uncertain facts are added to the doubts of the evidence.

    Args:
        evidence: The observations of the run.
        environment: The packages of the kernel's interpreter; `None` for another language.
    """
    found: dict[str, Fact] = {}
    modules = module_names(evidence)
    for path in sorted({*evidence.authors.foreign, *_modules_that_appeared(evidence)}):
        evidence.doubt(path)
    for path, look in evidence.looks():
        name = evidence.name(path)
        if name is None or name in found:
            continue
        fact = file_fact(evidence, path, name, look, module=name in modules)
        if fact is not None and _counts(evidence, path, fact, look):
            found[name] = fact
            if isinstance(fact, File) and name in evidence.left_over:
                _doubt_left_over(evidence, path, name, look)
    for name in modules | (_modules_that_failed(evidence) & found.keys()):
        if evidence.places.is_inside(name) and name.endswith(".py") and _stem(name) != "__init__":
            # In one directory, a package takes precedence over a module of the same name
            # (https://docs.python.org/3/library/importlib.html#importlib.machinery.FileFinder).
            package = name.removesuffix(".py") + "/__init__.py"
            found.setdefault(package, Absent(package, module=True))
    # A fact of the distribution compares these, wherever it is installed from.
    elsewhere = {
        name
        for file in (edited_files(evidence, environment) if environment is not None else ())
        if (name := evidence.name(file)) is not None and not evidence.places.is_inside(name)
    }
    yield from (found[name] for name in sorted(found) if name not in elsewhere)


def module_names(evidence: RunEvidence) -> set[str]:
    """Return the names of the local modules."""
    names = (evidence.name(file) for file, _ in evidence.report.modules.values())
    return {name for name in names if name is not None}


def _doubt_left_over(evidence: RunEvidence, path: str, name: str, look: Look) -> None:
    """Note that the run found a file that an earlier run apparently wrote.

    A file that the run only replaced does not matter.
    """
    # A run that only checks for its old output before it removes it does not depend on the content.
    is_read = path in evidence.seen.reads or not evidence.is_written(path)
    if is_read and not (look.how == "probe" and path in evidence.seen.removed):
        evidence.doubts.append(
            f"{name}, which an earlier run seems to have written, was there; remove it to start"
            " from scratch"
        )


def _modules_that_appeared(evidence: RunEvidence) -> set[str]:
    """Return the files of modules that appeared after the import had failed."""
    paths = {
        os.path.join(folder, module.rpartition(".")[2] + end)
        for module, folders in evidence.report.missing.items()
        for folder in folders
        for end in (".py", os.sep + "__init__.py")
    }
    started = evidence.report.started - _TICK_NS
    return {
        path
        for path in paths
        if evidence.inside(path) is not None
        and not evidence.is_written(path)
        and (stat := evidence.now(path)) is not None
        and stat.ctime_ns >= started
    }


def _modules_that_failed(evidence: RunEvidence) -> set[str]:
    """Return the possible names of local modules that raised during their import."""
    # Python removes such a module from `sys.modules`, so the report lists it as missing.
    missing = evidence.report.missing.items()
    paths = (
        os.path.join(folder, module.rpartition(".")[2] + ".py")
        for module, folders in missing
        for folder in folders
    )
    return {name for name in map(evidence.inside, paths) if name is not None}


def imported_by(evidence: RunEvidence) -> dict[str, str]:
    """Return a mapping from each local module to the local module that imported it."""
    modules, importers = module_names(evidence), {}
    for file, importer in evidence.report.modules.values():
        name, by = evidence.name(file), evidence.name(importer) if importer else None
        if name is not None and by is not None and by in modules and by != name:
            importers[name] = by
    return importers


def file_fact(
    evidence: RunEvidence, path: str, name: str, look: Look, *, module: bool = False
) -> Fact | None:
    """Return the fact that follows from the first look at a path; `None` if there is none."""
    # Look up the path again: the functions below use the cached entry and digest.
    evidence.now(path)
    if look.type == "":
        return _absent(evidence, path, name, look)
    if look.type == "directory":
        made_here = path in evidence.seen.made or evidence.has_own_inside(path)
        # Others are those that libraries make, and those above every checkout.
        is_own = made_here or name == "." or evidence.is_above(path)
        return Directory(name) if look.how == "probe" and not is_own else None
    if path in evidence.inferred:
        return _inferred(evidence, path, name)
    if look.type != "file" or look.stat is None:
        return None
    if path in evidence.seen.writes:
        return _rewritten(evidence, path, name, look)
    return _read(evidence, path, name, look, module=module)


def _counts(evidence: RunEvidence, path: str, fact: Fact, look: Look) -> bool:
    """Tell whether to keep a fact. Temporary files must have been read, and stayed the same."""
    if not evidence.places.is_temporary(path):
        return True
    return isinstance(fact, File) and fact.after is None and look.how != "probe"


def _absent(evidence: RunEvidence, path: str, name: str, look: Look) -> Fact | None:
    # Outside the root, libraries check for dozens of directories that they would create.
    if look.how == "touch" and not evidence.places.is_inside(name) and not _is_setting(name):
        return None
    if not _can_exist(name):
        return None
    after = evidence.state(path)
    if after != GONE and not evidence.is_written(path):
        evidence.doubt(path)  # another process created it after the run looked
        after = GONE
    return Absent(name, after or None)


def _can_exist(name: str) -> bool:
    """Tell whether a file can have this name: IPython also looks for texts that it shows."""
    # `Markdown(text)` checks `os.path.exists(text)`: https://github.com/ipython/ipython/issues/14820
    return len(name) <= LONGEST_NAME and all(
        len(part.encode("utf-8", "surrogatepass")) <= _LONGEST for part in name.split("/")
    )


def _is_setting(name: str) -> bool:
    """Tell whether a path in the home directory looks like a settings file of a library.

    Other paths are directories that libraries create if they are missing.
    """
    last = name.rpartition("/")[2]
    return "." in last[1:] or last.endswith("rc")


def _read(evidence: RunEvidence, path: str, name: str, look: Look, *, module: bool) -> Fact | None:
    # An unreadable file has a state as well: it may become readable.
    state = evidence.state(path)
    if not _is_same(evidence, path, look, state):
        if evidence.places.is_temporary(path):
            return None
        evidence.doubt(path)
    return File(name, state, module=module)


def _is_same(evidence: RunEvidence, path: str, look: Look, digest: str) -> bool:
    """Tell whether a file still has the content of the first read.

    Equal stats prove this only if they are clearly older than the first look: a file may change
    twice within one tick of the clock. For younger files, the digests are compared.
    """
    # git calls such files racily clean: https://git-scm.com/docs/racy-git
    stat = look.stat
    if stat is None or evidence.world.fingerprints.entry(path).stat != stat:
        return False
    if look.how == "late":
        # The first look came after the run, so the file must be unchanged since the start.
        return max(stat.mtime_ns, stat.ctime_ns) < evidence.report.started - _TICK_NS
    return digest in (look.digest, OTHER) if stat.is_racy(look.seen_ns) else True


def _rewritten(evidence: RunEvidence, path: str, name: str, look: Look) -> Fact | None:
    """Return the fact about a file that the run read and then wrote or removed."""
    if look.how == "touch":
        return None  # a library checked whether the file exists before writing it
    before = _digest_before(evidence, path, look)
    if before is None:
        evidence.doubts.append(f"{name} was rewritten by the notebook; how it was is not known")
        return None
    after = evidence.state(path)
    return File(name, before, None if after == before else after)


def _digest_before(evidence: RunEvidence, path: str, look: Look) -> str | None:
    # The tracer hashes a file right before a write, but skips large ones: then an earlier build may
    # have hashed the same state.
    write = evidence.seen.writes[path]
    if write.stat == look.stat and write.digest is not None:
        return write.digest
    if look.digest is not None:
        return look.digest
    known = evidence.world.fingerprints.remembered.get(path)
    if known is not None and look.stat is not None and known.holds_for(look.stat):
        return known.digest
    return None


def _inferred(evidence: RunEvidence, path: str, name: str) -> Fact | None:
    """Return the fact about an existing file that C code apparently wrote.

    Its previous state is unknown. The state after the run leads to the same outputs.
    """
    digest = evidence.world.fingerprints.digest(path)
    left = evidence.seen.named.get(path)
    if left is not None and left.stat != evidence.world.fingerprints.entry(path).stat:
        evidence.doubt(path)
    was_absent = evidence.inferred[path].type == ""
    return None if was_absent or digest is None else File(name, digest)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".py")


def edited_files(evidence: RunEvidence, environment: Environment) -> dict[str, tuple[str, str]]:
    """Return the distribution and the path in it of modules of editable installations, by file."""
    found = {}
    for name, (file, _) in evidence.report.modules.items():
        distribution, base = environment.edited.get(name.partition(".")[0], ("", ""))
        if not distribution:
            continue
        top = os.path.basename(base)
        if file == base:
            found[file] = (distribution, top)
        elif file.startswith(base + os.sep):
            found[file] = (distribution, top + file[len(base) :].replace(os.sep, "/"))
    return found


def _sources(evidence: RunEvidence, environment: Environment) -> Iterator[Source]:
    """Yield the facts about editable packages, and about those with a source under the root."""
    files: dict[str, dict[str, str]] = {}
    for file, (name, path) in edited_files(evidence, environment).items():
        files.setdefault(name, {})[path] = evidence.state(file)
    for module, path in evidence.report.sources.items():
        for name in environment.owners(module.partition(".")[0]):
            digests = evidence.world.digests(name, [path]) if path.endswith(".py") else None
            if digests:
                files.setdefault(name, {}).update(digests)
    for name, digests in sorted(files.items()):
        yield Source(name, tuple(sorted(digests.items())))


def package_facts(evidence: RunEvidence, environment: Environment) -> Iterator[Fact]:
    """Yield the facts about modules, packages, the interpreter and variables.

    Args:
        evidence: The evidence of the run.
        environment: The packages of the kernel's interpreter.
    """
    report = evidence.report
    in_children = tuple(_imports_of_children(evidence))
    yield from _unshadowed(evidence, in_children)
    yield Interpreter.of(environment.python)
    yield Baseline(*environment.baseline)
    missing = {name for name in report.missing if "." not in name}
    uninstalled = {name for name in missing if not environment.has_module(name)}
    unavailable = {*uninstalled, *report.unavailable}
    unavailable |= {f.name for f in in_children if not f.standard and not _is_beside(evidence, f)}
    unavailable = {name for name in unavailable if not evidence.world.provides(name)}
    if unavailable:
        yield Uninstalled(" ".join(sorted(unavailable)), everywhere=True)
    # A missing name that is installed now raised during its import, as an optional dependency may.
    imported = {found.name for found in in_children if not found.standard}
    names = {*report.packages, *imported, *(missing - uninstalled)}
    sources = tuple(_sources(evidence, environment))
    yield from sources
    without = frozenset(source.name for source in sources)
    yield from _distributions(names, report, environment, without, evidence.seen.asked)
    for kind, asked in sorted(evidence.seen.asked):
        if kind == "entries":
            yield EntryPoints(asked, environment.entry_points(asked))
        elif environment.installed(asked) is None and asked.strip():
            yield Distribution(asked, "")
    searched = {module for _, modules in report.search for module in modules}
    if searched:
        yield SearchPath.now(searched - missing, evidence.world)
    yield from _variables(evidence)


def _variables(evidence: RunEvidence) -> Iterator[Fact]:
    """Yield the facts about environment variables, with the values that kernels start with."""
    # Not the values in the kernel: it sets some itself, in the same way each time.
    world = evidence.world
    names = {*evidence.seen.variables, *world.of_kernelspec}
    for part in sorted(evidence.report.variable_parts):
        yield EnvironmentPart.now(part, world)
        # The fact about the part has only the names of secrets.
        names.update(name for name in world.variables if part in name and is_secret(name))
    for name in sorted(names - OF_KERNELS):
        yield EnvironmentVariable.now(name, world)
    yield EnvironmentVariable.now(PYTHON_VARIABLES, world)


def _imports_of_children(evidence: RunEvidence) -> Iterator[ChildImport]:
    """Yield the imports in child processes by user code, and by packages that it reaches."""
    importers: dict[str, list[ChildImport]] = {}
    for found in evidence.seen.imports:
        importers.setdefault(found.package, []).append(found)
    waiting, reached = ["", *evidence.report.packages], set()
    while waiting:
        package = waiting.pop()
        if package not in reached:
            reached.add(package)
            waiting += [found.name for found in importers.get(package, ())]
            yield from importers.get(package, ())


def _is_beside(evidence: RunEvidence, found: ChildImport) -> bool:
    """Tell whether a directory that a child searched first has the module that it imported."""
    names = [evidence.name(folder) for folder in found.folders]
    return any(found.name in _modules_of(evidence, name) for name in names if name is not None)


def _modules_of(evidence: RunEvidence, name: str) -> set[str]:
    """Return the names of the modules in a directory, and of portions of namespace packages."""
    return {module.rstrip("/") for module, _ in modules_in(name, evidence.world)}


def _unshadowed(evidence: RunEvidence, in_children: Iterable[ChildImport]) -> Iterator[Unshadowed]:
    """Yield the modules that must stay absent from directories under the root."""
    behind: dict[tuple[str, str], set[str]] = {}
    searched = [(folder, "", names) for folder, names in evidence.report.search]
    for module, folders in evidence.report.missing.items():
        # If nothing was found, even a portion of a namespace package makes a difference.
        package, _, last = module.rpartition(".")
        searched += [(folder, package, (last, last + "/")) for folder in folders]
    for found in in_children:
        beside = _is_beside(evidence, found)
        for folder in found.folders:
            name = evidence.name(folder)
            if beside and name is not None and found.name in _modules_of(evidence, name):
                break
            is_missing = not (beside or found.standard or evidence.world.provides(found.name))
            portion = (found.name + "/",) if is_missing else ()
            searched.append((folder, "", (found.name, *portion)))
    for folder, package, modules in searched:
        name = evidence.inside(folder)
        if name is not None:
            behind.setdefault((name, package), set()).update(modules)
    for (name, package), modules_behind in sorted(behind.items()):
        # The import did not find an existing module, so the directory was not searched then.
        absent = modules_behind - {module for module, _ in modules_in(name, evidence.world)}
        if absent:
            yield Unshadowed(name, " ".join(sorted(absent)), package)


def _distributions(
    names: set[str],
    report: TracerReport,
    environment: Environment,
    without: frozenset[str],
    questions: Iterable[tuple[str, str]],
) -> Iterator[Distribution]:
    found = {owner for name in names for owner in environment.owners(name)} - _BASELINE - without
    for name in sorted(found):
        fact = Distribution.now(name, environment)
        if fact is not None:
            yield fact
    # Code that asks only for a version does not depend on the files.
    asked = {parsed[0] for folder in report.asked_versions if (parsed := parse_info(folder))}
    asked |= {normalised(name) for kind, name in questions if kind == "version"}
    for name in sorted(asked - found - _BASELINE):
        version = environment.version(name)
        if version is not None:
            yield Distribution(name, version)
