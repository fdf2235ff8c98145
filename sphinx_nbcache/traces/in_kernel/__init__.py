"""The tracer: notes, from inside a kernel, what the code that runs there depends on.

This package is sent to kernels as source text (see [](sphinx_nbcache.traces.session)) and may
run in any environment: it uses the standard library only, its modules import each other
relatively, in the order of `MODULES`, and it stays within Python 3.8. `tracer.install` is called
before the first cell; `tracer.report` says what was seen, as JSON that
[](sphinx_nbcache.traces.report) describes.

Most is seen by an audit hook: opened files, listed directories, imports, sub-processes. Hooks
cannot be removed, see arguments only, and must be quick: 10,000 opened files are 10,000 calls.
What they do not see is complemented:

- `os.stat` is wrapped, for what is only looked for;
- the class of `os.environ` is replaced, for variables that are read;
- names of files in cells, in variables and in modules stand for files that are opened in C;
- fanotify and `/proc` tell who has written a file, where the system has them;
- forked children write to a log, and so do other Python processes, which load this package by
  a `sitecustomize` of ours.

Nothing is judged here: what of it counts is decided by the one who reads the report.
"""

MODULES = (
    *("common", "looks", "watch", "files", "listings", "probes", "imports", "variables"),
    *("commands", "changes", "named", "outside"),
    "tracer",
)
