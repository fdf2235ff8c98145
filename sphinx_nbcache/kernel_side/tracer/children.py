"""How Python processes that are started from here come to load the tracer.

They find our `sitecustomize` by two environment variables. Code of cells does not see these: they
are set for the C library only, from which child processes inherit them, and not in `os.environ`.
"""

import functools
import json
import os
import sys

LEADING = _TRACE, _PATH = "NBCACHE_TRACE", "PYTHONPATH"


class Children:
    """The environment of child processes.

    Args:
        config: The configuration of the tracer.
        variables: Tells which variables the run itself has set.
    """

    def __init__(self, config, variables):
        self.support = config["support"]
        self.variables = variables
        keys = ("root", "log", "support", "quiet")
        self.config = {**{key: config.get(key) for key in keys}, "child": True}

    def _trace(self, given=()):
        """Return the configuration of a child process.

        Args:
            given: Variables with other values than here.
        """
        return json.dumps({**self.config, "put": sorted(self.variables.made_here().union(given))})

    def lead(self):
        """Set the variables for child processes that inherit the environment."""
        os.putenv(_TRACE, self._trace())
        os.putenv(_PATH, self._path(os.environ._data.get(os.environ.encodekey(_PATH))))

    def _path(self, value):
        rest = os.fsdecode(value) if value else ""
        return os.pathsep.join([self.support, *([rest] if rest else [])])

    def lead_openly(self):
        """Set the variables where cells see them, on systems without the other means."""
        os.environ[_TRACE] = self._trace()
        os.environ[_PATH] = self._path(os.environ.get(_PATH))

    def hide(self):
        """Hide the variables by which this process itself was led here."""
        data, encode = os.environ._data, os.environ.encodekey
        data.pop(encode(_TRACE), None)
        path = os.fsdecode(data.get(encode(_PATH), "")).split(os.pathsep)
        rest = [folder for folder in path if folder != self.support]
        if any(rest):
            data[encode(_PATH)] = os.environ.encodevalue(os.pathsep.join(rest))
        else:
            data.pop(encode(_PATH), None)

    def can_be_hidden(self):
        """Tell whether this system starts processes by the functions that are wrapped."""
        return os.name == "posix"

    def wrap(self):
        """Lead also the processes that are started with a copy of `os.environ`."""
        import _posixsubprocess

        original = _posixsubprocess.fork_exec

        @functools.wraps(original)
        def fork_exec(*arguments):
            # The environment is the sixth argument, a list of bytes, in all versions of Python.
            *first, environment = arguments[:6]
            if isinstance(environment, list):
                environment = self._led(environment)
            return original(*first, environment, *arguments[6:])

        _posixsubprocess.fork_exec = fork_exec
        # If it is loaded later, it finds the new function.
        loaded = sys.modules.get("subprocess")
        if getattr(loaded, "_fork_exec", None) is original:
            loaded._fork_exec = fork_exec
        for name in ("posix_spawn", "posix_spawnp", "execve"):
            if hasattr(os, name):
                setattr(os, name, self._leading(getattr(os, name)))

    def _leading(self, original):
        @functools.wraps(original)
        def start(path, argv, env, **options):
            return original(path, argv, self._led_mapping(env), **options)

        return start

    def _led_mapping(self, environment):
        try:
            pairs = {os.fsencode(name): os.fsencode(environment[name]) for name in environment}
        except (TypeError, ValueError):
            return environment  # the call will complain about it
        led = self._led([name + b"=" + value for name, value in pairs.items()])
        return dict(pair.split(b"=", 1) for pair in led) if len(led) > len(pairs) else environment

    def _led(self, environment):
        """Return the environment of a process with our variables, if it is a copy of this one."""
        values = dict(pair.partition(b"=")[::2] for pair in environment)
        own = os.environ._data
        # Another environment is the user's intention: the process would show our variables.
        if 2 * len(values.keys() & own.keys()) <= len(own):
            return environment
        given = {os.fsdecode(name) for name, _ in values.items() ^ own.items()}
        path = os.fsencode(self._path(values.pop(_PATH.encode(), b"")))
        trace = os.fsencode(self._trace(given))
        values = {**values, _TRACE.encode(): trace, _PATH.encode(): path}
        return [name + b"=" + value for name, value in values.items()]
