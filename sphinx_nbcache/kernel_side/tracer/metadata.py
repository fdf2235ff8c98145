"""Questions about installed packages: versions, entry points, and lists of packages."""

import functools
import sys

from .common import IMPORTLIB, outer, preloaded

_MODULES = ("importlib.metadata", "importlib_metadata")


class Metadata:
    """The questions to `importlib.metadata`, and who asked them."""

    def __init__(self, own, quiet, log, imports):
        self.own = own
        self.quiet = quiet
        self.log = log
        self.imports = imports
        self.asked = {}
        self.wrapped = set()

    def watch(self):
        """Wrap the functions now if the module is loaded, else when it is first imported."""
        for name in _MODULES:
            if name in sys.modules:
                self._wrap(name)
            else:
                self.imports.on_first[name] = self._load

    def _load(self, name):
        # The event comes before the import takes any lock. Loading it later would be too late: code
        # may keep references to its functions.
        try:
            __import__(name)
        except ImportError:
            return
        self._wrap(name)

    def _wrap(self, name):
        module = sys.modules[name]
        found = getattr(module, "Distribution", None)
        if name in self.wrapped or found is None:
            return
        self.wrapped.add(name)
        # A class: `version`, `files` and the others all look for distributions in this way, but
        # before Python 3.10, `from_name` does not call `discover`.
        inner = (
            *IMPORTLIB,
            str(getattr(module, "__file__", name)).rpartition("__init__")[0] or name,
        )
        for method in ("from_name", "discover"):
            original = found.__dict__[method].__func__
            setattr(found, method, classmethod(self._noting(original, method, inner)))
        # `EntryPoint.load` uses it.
        if hasattr(module, "import_module"):
            module.import_module = sys.modules["importlib"].import_module

    def _noting(self, original, method, inner):
        note = self._note

        @functools.wraps(original)
        def asking(cls, *arguments, **options):
            note(sys._getframe(1), method, arguments, options, inner)
            return original(cls, *arguments, **options)

        return asking

    def _note(self, frame, method, arguments, options, inner):
        if self.own.is_working():
            return
        with self.own:
            name = (arguments or [options.get("name")])[0] if method == "from_name" else None
            if method == "discover":
                # `from_name` calls it, and that has been noted.
                if "name" in options or "context" in options or arguments:
                    return
                question = ("entries", self._group(frame, inner))
            elif isinstance(name, str) and name:
                question = ("version", name)
            else:
                return
            asker = outer(frame, inner)
            if question == ("entries", "*") and not self.quiet.is_user(asker):
                # Libraries list packages in order to find plug-ins.
                question = ("entries", "")
            package = self.quiet.package_of(asker)
            if package or self.quiet.is_user(asker) or self.log.is_child:
                askers = self.asked.setdefault(question, set())
                if package not in askers:
                    askers.add(package)
                    self.log.note("asked", *question)

    @staticmethod
    def _group(frame, inner):
        """Return the requested group of entry points; empty for all, `*` for all packages."""
        while frame is not None and frame.f_code.co_filename.startswith(inner):
            if frame.f_code.co_name == "entry_points":
                params = frame.f_locals.get("params")
                group = params.get("group") if isinstance(params, dict) else None
                return group if isinstance(group, str) else ""
            frame = frame.f_back
        return "*"

    def answers(self, reached):
        """Return the questions of user code and of packages that it reaches."""
        found = {q for q, askers in self.asked.items() if "" in askers or askers & reached}
        return sorted(found.union(q for top, q in _preloaded_questions() if top in reached))


def _preloaded_questions():
    """Yield the package that asked, and the question, while shown modules were preloaded."""
    finder = preloaded()
    for module, asked in finder.recorder.asked.items() if finder is not None else ():
        if not module or module in finder.shown:
            for asker, question in asked:
                yield asker.partition(".")[0], question
