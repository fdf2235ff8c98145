"""Replacements for the standard streams while modules are preloaded.

Some modules keep references to the streams, as default arguments or in log handlers. In kernels
that are forked later, these must write to the streams of the kernel.
"""

import io
import sys


class StandIn(io.TextIOBase):
    """A stream that records that it was written to, until it forwards to another one."""

    said = False
    target = None

    def write(self, text):
        if self.target is not None:
            return self.target.write(text)
        self.said = True
        return len(text)

    def flush(self):
        if self.target is not None:
            self.target.flush()

    def isatty(self):
        return False

    def fileno(self):
        if self.target is None:
            raise io.UnsupportedOperation("fileno")
        return self.target.fileno()

    @property
    def encoding(self):
        return getattr(self.target, "encoding", "utf-8")

    @property
    def errors(self):
        return getattr(self.target, "errors", "strict")


out, err = StandIn(), StandIn()


def lead_to_kernel():
    """Forward the replacements to the streams that the kernel has installed."""
    out.target, err.target = sys.stdout, sys.stderr
