"""The tracer: records, inside a kernel, the dependencies of the code that runs there.

This package is sent to kernels as source text (see [](sphinx_nbcache.traces.tracer_code)) and may
run in any environment: it uses only the standard library, its modules import each other relatively,
in the order of `MODULES`, and it supports Python 3.8. `tracer.install` is called before the first
cell; `tracer.report` returns the observations, as JSON that [](sphinx_nbcache.traces.report)
describes.

An audit hook observes most actions: opened files, listed directories, imports, subprocesses. Hooks
cannot be removed, receive only arguments, and must be quick: 10,000 opened files are 10,000 calls.
Other means cover the rest:

- `os.stat` is wrapped, for paths that are only looked for;
- the class of `os.environ` is replaced, for variables that are read;
- names of files in cells, in variables and in modules stand for files that are opened in C;
- fanotify and `/proc` report who has written a file, where the system has them;
- forked children write to a log, and so do other Python processes, which load this package
  through a `sitecustomize` of ours.

The tracer does not judge: the reader of the report decides which observations count.
"""

MODULES = (
    *("common", "states", "links", "lookups", "watch", "files", "imports", "metadata"),
    *("commands", "changes", "named", "variables", "children", "tracer"),
)
