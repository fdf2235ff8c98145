"""The complete tracer: the audit hook, and the report."""

import json
import os
import platform
import sys
import threading
import time

from .changes import Changes
from .children import LEADING, Children
from .commands import Outside, Processes
from .common import Log, Own, Quiet, shell
from .files import Files
from .imports import Imports
from .lookups import Listings, Probes
from .metadata import Metadata
from .named import Named
from .variables import Variables

SCHEMA = 4


class Tracer:
    """The parts of the tracer, connected."""

    def __init__(self, config):
        self.config = config
        self.started = time.time_ns()
        self.directory = os.getcwd()
        self.own = Own()
        self.quiet = Quiet(config.get("quiet", ()))
        self.log = Log(config.get("log"), config.get("child", False))
        self.roots = [config["root"], os.path.realpath(config["root"])]
        self.files = Files(self.quiet, self.log, self.roots)
        self.listings = Listings(self.quiet, self.log, self.files, self.roots)
        self.imports = Imports(self.quiet, self.log)
        self.metadata = Metadata(self.own, self.quiet, self.log, self.imports)
        self.files.watch.loaded = self.imports.before
        self.processes = Processes(self.log)
        self.changes = Changes(self.files, self.processes)
        self.named = Named(self.own, self.files, self.imports, self.changes)
        self.variables = Variables(self.own, self.quiet, self.log, self.named)
        self.outside = Outside(self.log, self.named, self.variables, self.processes)

    def start(self):
        """Start recording."""
        # No hook can be removed: https://docs.python.org/3/library/sys.html#sys.addaudithook
        sys.addaudithook(self.hook())
        home = os.path.expanduser("~")
        settings = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        Probes(self.own, self.quiet, self.files, [*self.roots, settings]).wrap()
        self.files.links.wrap(self.own)
        self.imports.watch()
        self.metadata.watch()
        self.variables.watch()
        if not self.log.is_child:
            ipython = shell()
            if ipython is not None:
                ipython.events.register("pre_run_cell", self.named.before_cell)
                ipython.events.register("post_run_cell", self.named.after_cell)

    def handlers(self):
        files, listings, outside = self.files, self.listings, self.outside
        return {
            # Events: https://docs.python.org/3/library/audit_events.html. Handlers take further
            # arguments where a version of Python may pass more of them.
            "open": files.on_open,
            "os.listdir": listings.on_list,
            "os.scandir": listings.on_scan,
            "os.remove": files.on_remove,
            "os.rmdir": files.on_rmdir,
            "os.rename": files.on_rename,
            "os.truncate": files.on_truncate,
            "os.mkdir": files.on_mkdir,
            "os.link": files.on_link,
            "os.symlink": files.on_symlink,
            **dict.fromkeys(("os.chmod", "os.chown", "os.utime", "os.setxattr"), files.on_touch),
            "ctypes.dlopen": files.on_library,
            **dict.fromkeys(("os.chdir", "os.fchdir"), files.on_chdir),
            "shutil.rmtree": files.on_rmtree,
            "sqlite3.connect": files.on_sqlite,
            "pathlib.Path.glob": listings.on_glob,
            "pathlib.Path.rglob": listings.on_rglob,
            "import": self.imports.on_import,
            **dict.fromkeys(("os.putenv", "os.unsetenv"), self.variables.on_put),
            "subprocess.Popen": outside.on_popen,
            **dict.fromkeys(("os.fork", "os.forkpty"), self.processes.on_fork),
            "os.exec": outside.on_exec,
            "os.posix_spawn": outside.on_spawn,
            "os.system": outside.on_system,
            "socket.connect": outside.on_connect,
            "socket.getaddrinfo": outside.on_host,
            "urllib.Request": outside.on_url,
        }

    def hook(self):
        """Return the audit hook, which is called for every event."""
        # Local names: a hook is called for each event of the process, and most are of no interest.
        find, busy, ident = self.handlers().get, self.own.threads, threading.get_ident

        def hook(event, arguments):
            handler = find(event)
            if handler is None:
                return
            thread = ident()
            if thread in busy:
                return
            # The handler itself opens files and lists folders, which raises events again.
            busy.add(thread)
            forbidden = False
            try:
                forbidden = handler(*arguments)
            except Exception as error:
                self.own.complain(error)
            finally:
                busy.discard(thread)
            if forbidden:
                # An exception from a hook makes the action fail. The import system writes no
                # bytecode then, and ignores the error (`SourceFileLoader.set_data`).
                raise PermissionError("the source of this bytecode is too young")

        return hook

    def report(self):
        """Return the observations, as JSON in ASCII."""
        with self.own:
            return json.dumps(self._report())
        # Reached only if the report failed: the context has swallowed the exception.
        return json.dumps({"errors": self.own.errors})

    def _report(self):
        children = self.log.records()
        left = self.changes.end(record[1] for record in children if record[0] == "write")
        self.named.finish()
        local = self.imports.local_modules()
        reached = self.imports.reached(local)
        for file, _ in local.values():
            self._late(file)
        for path in mapped_files():
            if not path.startswith(self.quiet.prefixes) and self._is_input(path):
                self._late(path)
        return {
            "schema": SCHEMA,
            "started": self.started,
            "ended": time.time_ns(),
            "directory": self.directory,
            "python": self._python(),
            "reads": self.files.reads.unpacked(),
            "writes": self.files.writes,
            "removed": list(self.files.removed),
            "moved": list(self.files.moved),
            "made": list(self.files.made),
            "listings": [[*key, names] for key, names in self.listings.found.items()],
            "links": self.files.links.found,
            "same": [[*pair, same] for pair, same in self.files.links.same.items()],
            "named": self.named.looks,
            "inferred": self.files.inferred,
            "proven": list(self.changes.proven),
            "changed": list(self.changes.changed),
            "others": self.changes.others,
            "left": left,
            "handles": self.changes.are_handles_known(),
            "modules": local,
            "packages": reached,
            "asked": self.metadata.answers(set(reached)),
            "sources": self.imports.sources_in(self.roots),
            "wanted": sorted(self.imports.wanted),
            "asked_versions": list(self.files.asked_versions),
            "missing": self.imports.missing(),
            "unavailable": self.imports.missing_for(set(reached)),
            "search": self.imports.shadowable(set(reached)),
            "variables": self.variables.finish(),
            "variable_parts": list(self.variables.parts),
            "variables_shown": self.variables.shown,
            "processes": self.processes.started,
            "hosts": list(self.outside.hosts),
            "startup": self._startup() if self.config.get("startup", True) else None,
            "children": children,
            "errors": self.own.errors,
        }

    def _late(self, path):
        """Record a file whose use is noticed only now, at the end."""
        if path not in self.files.reads and path not in self.files.writes:
            self.files.reads.keep(path, self.files.look(path, "late"))

    def _is_input(self, path):
        """Tell whether a mapped file is no library, or one of the project that the run found."""
        if ".so" not in os.path.basename(path):
            return True
        found = self.files.stat(path) if path.startswith(self.files.watch.prefixes) else None
        return found is not None and max(found.st_mtime_ns, found.st_ctime_ns) < self.started

    def _startup(self):
        """Return the files that IPython read and ran before the tracer started."""
        profile = getattr(shell(), "profile_dir", None)
        if profile is None:
            return None
        folder = profile.startup_dir
        try:
            found = os.listdir(folder)
        except OSError:
            # The folder may be missing: then it contains no files.
            found = []
        names = sorted(name for name in found if name.endswith((".py", ".ipy")))
        paths = [os.path.join(folder, name) for name in names]
        settings = ("ipython_config.py", "ipython_kernel_config.py")
        paths += [os.path.join(profile.location, name) for name in settings]
        looks = {path: self.files.look(path, "late") for path in paths}
        return {"folder": folder, "names": names, "files": looks}

    def _python(self):
        return {
            "executable": sys.executable,
            "prefixes": list(dict.fromkeys((sys.prefix, sys.base_prefix))),
            "library": self.quiet.library,
            "sites": self.quiet.sites,
            "implementation": platform.python_implementation(),
            "version": "%d.%d" % sys.version_info[:2],
            "platform": sys.platform,
            "machine": platform.machine(),
        }


def mapped_files():
    """Return the files that are mapped into memory, where the system reports them."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            paths = {line[line.find("/") :].rstrip("\n") for line in file if "/" in line}
    except OSError:
        return []
    # A deleted file cannot be compared later.
    return sorted(path for path in paths if not path.endswith(" (deleted)"))


TRACER = None


def install(config):
    """Start tracing.

    Args:
        config: A dictionary with `root`; `log`, a file to which children write; `support`, the
            folder of our `sitecustomize`; `quiet`, directories to ignore; `startup`, whether
            IPython's own files count; `child`, whether this is a child of the kernel; `put`, the
            variables that the run has set for it.
    """
    global TRACER  # noqa: PLW0603
    if TRACER is None:
        tracer = Tracer(config)
        if config.get("child"):
            tracer.log.note("child", os.getpid())
            tracer.variables.put.update(config.get("put", ()))
            words = getattr(sys, "orig_argv", [])
            if "-m" in words[:-1]:
                name = words[words.index("-m") + 1].partition(".")[0]
                tracer.imports.note_in_child(name, "")
        if config.get("log") and config.get("support"):
            _lead_children(tracer)
        tracer.start()
        TRACER = tracer


def _lead_children(tracer):
    """Make Python processes that are started from here load our `sitecustomize`."""
    children = Children(tracer.config, tracer.variables)
    if not children.can_be_hidden():
        if not tracer.log.is_child:
            children.lead_openly()
        tracer.variables.put.update(LEADING)
        return
    children.hide()
    children.lead()
    children.wrap()
    tracer.imports.before.add("_posixsubprocess")
    tracer.variables.children = children


def report():
    """Return the observations, as JSON."""
    return TRACER.report() if TRACER is not None else "{}"
