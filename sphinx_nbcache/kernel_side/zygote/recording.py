"""Recording of events while modules are preloaded: they cannot be observed later."""

import builtins
import functools
import importlib
import importlib.util
import io
import os
import sys
import sysconfig
import types

_IMPORTLIB = (
    *("importlib", "importlib.util", "importlib._bootstrap", "importlib._bootstrap_external"),
    *("_frozen_importlib", "_frozen_importlib_external"),
)
_LOOKS = ("stat", "lstat", "listdir", "scandir")
_LOADS = ("create_module", "exec_module")
_OPENS = ((builtins, "open"), (io, "open"))
# Files of the system and of installed packages: their versions represent them.
_INSTALLED = tuple(
    os.path.join(folder, "")
    for folder in {
        *(sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev", "/usr"),
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    }
)


class Recorder:
    """Records imports between modules, and the files that they access, within its context.

    Args:
        blas: Packages that handle a fork of their threads.
        threads: Returns the threads of the process.

    Attributes:
        bearable: The threads of these packages.
        imports: Imports while a module is loaded, by its name: pairs of the importing module and
            the imported one, which may not exist.
        looks: File accesses while a module is loaded, by its name: name of a function, and path.
        asked: Questions to `importlib.metadata` as in the tracer, by the name of the module that is
            loaded: pairs of the asking module and the question.
        contents: Names of the modules whose objects a module contains, by its name.
    """

    def __init__(self, blas, threads):
        self.blas = blas
        self.threads = threads
        self.bearable = set()
        self.imports = {}
        self.looks = {}
        self.contents = {}
        self.asked = {}

    def __enter__(self):
        self.here = os.path.join(os.getcwd(), "")
        self.original = builtins.__import__, importlib.import_module
        self.noting = [_Noting(self, os, name) for name in _LOOKS]
        self.noting += [_Noting(self, owner, name) for owner, name in _OPENS]
        builtins.__import__ = self.on_import
        importlib.import_module = self.on_import_module
        for noting in self.noting:
            noting.put_in_place()
        self.distribution = getattr(sys.modules.get("importlib.metadata"), "Distribution", None)
        self.asking = {}
        for name in ("from_name", "discover") if self.distribution is not None else ():
            self.asking[name] = self.distribution.__dict__[name]
            setattr(self.distribution, name, classmethod(self._asking(name)))
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_):
        sys.meta_path.remove(self)
        builtins.__import__, importlib.import_module = self.original
        for noting in self.noting:
            noting.leave()
        for name, original in self.asking.items():
            setattr(self.distribution, name, original)

    def on_import(self, name, globals=None, locals=None, fromlist=(), level=0):
        # Looking at threads costs a system call for each import, so it is done for these packages
        # only.
        if name.partition(".")[0] not in self.blas or level or name in sys.modules:
            found = self.original[0](name, globals, locals, fromlist, level)
        else:
            before = set(self.threads())
            try:
                found = self.original[0](name, globals, locals, fromlist, level)
            finally:
                self.bearable |= set(self.threads()) - before
        if globals:
            self.note_statement(globals, name, fromlist or (), level)
        return found

    def note_statement(self, globals, name, fromlist, level):
        importer = globals.get("__name__")
        if level:
            package = globals.get("__package__") or str(importer)
            name = importlib.util.resolve_name("." * level + name, package)
        self.note(importer, name)
        for part in fromlist:
            if isinstance(part, str) and f"{name}.{part}" in sys.modules:
                self.note(importer, f"{name}.{part}")

    def on_import_module(self, name, package=None):
        if importlib.import_module != self.on_import_module:
            # A module has kept a reference to this function.
            return importlib.import_module(name, package)
        found = self.original[1](name, package)
        full = importlib.util.resolve_name(name, package) if name.startswith(".") else name
        self.note(sys._getframe(1).f_globals.get("__name__"), full)
        return found

    def find_spec(self, name, path=None, target=None):
        """Record an import, also by a C module; never find the module itself."""
        frame = sys._getframe(1)
        while frame is not None:
            importer = frame.f_globals.get("__name__")
            if frame.f_globals is not globals() and importer not in _IMPORTLIB:
                self.note(importer, name)
                return
            frame = frame.f_back

    def note(self, importer, name, loading=None):
        loading = loading or _loading(sys._getframe(1))
        if loading and importer and importer != "__main__":
            self.imports.setdefault(loading, set()).add((importer, name))

    def _asking(self, name):
        original = self.asking[name].__func__

        @functools.wraps(original)
        def asking(cls, *arguments, **options):
            self._note_question(sys._getframe(1), name, arguments, options)
            return original(cls, *arguments, **options)

        return asking

    def _note_question(self, frame, method, arguments, options):
        """Record a question as the tracer does (`tracer.metadata`)."""
        if method == "from_name":
            name = arguments[0] if arguments else options.get("name")
            question = ("version", name)
        elif "name" in options or "context" in options or arguments:
            return
        else:
            question = ("entries", "")
        loading = _loading(frame) or ""
        while frame is not None and frame.f_globals.get("__name__") == "importlib.metadata":
            if frame.f_code.co_name == "entry_points":
                group = frame.f_locals.get("params", {}).get("group")
                question = ("entries", group if isinstance(group, str) else "")
            frame = frame.f_back
        asker = frame.f_globals.get("__name__") if frame is not None else None
        if isinstance(asker, str) and isinstance(question[1], str) and question != ("version", ""):
            self.asked.setdefault(loading, set()).add((asker, question))

    def note_look(self, how, path):
        path = path.removeprefix(self.here)
        if path.startswith(_INSTALLED):
            return
        loading = _loading(sys._getframe(1))
        if loading:
            self.looks.setdefault(loading, {})[how, path] = None

    def add_contents(self, names):
        """Record which modules' objects modules contain; C modules import them unrecorded."""
        for importer in names:
            module = sys.modules[importer]
            # A module under another name appears as soon as it is loaded.
            self.note(importer, importer, module.__spec__.name)
            self.contents[importer] = found = _names_in(module)
            if not str(getattr(module, "__file__", "")).endswith((".py", ".pyc")):
                for name in found & sys.modules.keys():
                    self.note(importer, name, importer)

    def tops_of(self, name):
        """Return imports and contents by top-level module, as far as this module causes them."""
        tops = {name.partition(".")[0]: {found.partition(".")[0] for found in self.contents[name]}}
        for importer, found in self.imports.get(name, ()):
            tops.setdefault(importer.partition(".")[0], set()).add(found.partition(".")[0])
        return tops


def _names_in(module):
    """Return the names of modules in a module, and of those that define its functions and classes.

    As in the tracer, values are never inspected in a way that could run code of their own.
    """
    names = set()
    for value in list(getattr(module, "__dict__", {}).values()):
        if type(value) is types.ModuleType:
            name = value.__dict__.get("__name__")
        elif isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
            name = value.__module__
        elif type(value) is type:
            name = value.__dict__.get("__module__")
        else:
            continue
        if type(name) is str:
            names.add(name)
    return names


def _loading(frame):
    """Return the name of the module that is being loaded; None if there is none."""
    while frame is not None:
        code, name = frame.f_code, None
        if code.co_name == "<module>":
            name = frame.f_globals.get("__name__")
        elif code.co_name in _LOADS and "importlib" in code.co_filename:
            # A C module has no frame of its own.
            local = frame.f_locals
            spec = local.get("spec") or getattr(local.get("module"), "__spec__", None)
            name = getattr(spec, "name", None)
        if name:
            return name
        frame = frame.f_back
    return None


class _Noting:
    """Replaces a function, and records the paths that it is called with.

    It is not a function itself: stored in a class, it must not become a method.
    """

    def __init__(self, recorder, owner, name):
        self.recorder, self.owner, self.name = recorder, owner, name
        self.function = getattr(owner, name)
        functools.update_wrapper(self, self.function)

    def put_in_place(self):
        setattr(self.owner, self.name, self)
        # Libraries look functions up in these sets. Without the replacement in it, `shutil.rmtree`
        # would use its variant that is prone to races:
        # https://docs.python.org/3/library/os.html#os.supports_dir_fd
        for supported in ("dir_fd", "fd", "follow_symlinks", "effective_ids"):
            functions = getattr(os, "supports_" + supported, set())
            if self.function in functions:
                functions.add(self)

    def leave(self):
        setattr(self.owner, self.name, self.function)

    def __call__(self, *arguments, **options):
        current = getattr(self.owner, self.name)
        if current is not self:
            # A module has kept a reference to this object.
            return current(*arguments, **options)
        path = arguments[0] if arguments else options.get("file", options.get("path", "."))
        if isinstance(path, (str, bytes, os.PathLike)):
            mode = options.get("mode", arguments[1] if len(arguments) > 1 else "r")
            if self.name != "open" or not set(str(mode)) & set("wax+"):
                self.recorder.note_look(self.name, os.fsdecode(path))
        return self.function(*arguments, **options)
