"""nbclient's client of a kernel, with limits, the tracer of a run, and silent requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from nbformat import NotebookNode

from sphinx_nbcache.kernels.choosing import KernelError, KernelManager
from sphinx_nbcache.kernels.forked.manager import DeathWatch
from sphinx_nbcache.kernels.processes import peak_memory
from sphinx_nbcache.kernels.streams import OutputLimits, cut_note
from sphinx_nbcache.kernels.tracing import RunTracer
from sphinx_nbcache.python_code import parse_literal

# A kernel that has not answered within this time never will.
ANSWER_SECONDS = 120
_ASKED = "asked"
# The classes of the last exception that a cell raised. User code may redefine `type`.
_CLASSES = "[c.__name__ for c in __import__('sys').last_value.__class__.__mro__]"


class ExpressionTimeoutError(Exception):
    """Expressions in the text of a notebook took too long. The message names them."""


class Client(DeathWatch):
    """nbclient's client, which keeps the kernel manager that nbclient itself releases."""

    manager: KernelManager | None = None
    tracer: RunTracer | None = None
    before: str = ""
    """Code to execute silently before the first cell, unless the kernel has done so already."""
    peak_memory: int | None = None

    def __init__(
        self,
        *arguments: Any,
        make_manager: Callable[[], KernelManager],
        limits: OutputLimits,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._make_manager = make_manager
        self.limits = limits

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Process a message of a cell; if an output limit is exceeded, kill the kernel.

        An interrupt is not enough: a cell that ignores it would continue to produce output.
        """
        # Not even the idle message may end the cell: the end of the kernel does, so that the run
        # fails.
        if self.limits.exceeded:
            return None
        if self.limits.allows(msg, cell_index):
            return super().process_message(msg, cell, cell_index)
        last = [self.limits.cut(msg, cell_index), cut_note(self.limits.exceeded)]
        cell.outputs += [NotebookNode(output) for output in last if output is not None]
        if self.manager is not None:
            self.manager.kill_at_once()
        return None

    def create_kernel_manager(self) -> Any:
        """Create the manager, and keep a reference to it."""
        # nbclient sets `km` to None when it cleans up, and then the exit status would be lost.
        self.km = self.manager = self._make_manager()
        return self.manager

    @asynccontextmanager
    async def async_setup_kernel(self, **kwargs: Any) -> AsyncIterator[None]:
        """Start the kernel, and its tracer if there is one."""
        async with super().async_setup_kernel(**kwargs):
            assert self.manager is not None
            if self.manager.is_prepared:
                self.before = ""
            try:
                if self.tracer is None:
                    await self._silently("")
                    yield
                else:
                    manager = self.manager
                    around = self.tracer.around_cells(
                        self._silently, manager.tracer, manager.watched
                    )
                    async with around:
                        yield
            finally:
                # While the kernel still runs: /proc reports nothing about a process that has ended.
                self.peak_memory = peak_memory(self.manager.kernel_pid)

    async def classes_of_error(self, name: str) -> tuple[str, ...]:
        """Ask a Python kernel for the classes of the exception that a cell raised.

        Args:
            name: The name of the exception's own class.

        Returns:
            The names of the classes, its own first; nothing if the kernel does not know.
        """
        reply = await self._silently("", user_expressions={_ASKED: _CLASSES})
        try:
            found = parse_literal(reply["user_expressions"][_ASKED]["data"]["text/plain"])
        except (KeyError, TypeError, ValueError, SyntaxError):
            # The reply to an expression that raises has no `data`.
            return ()
        # The kernel may have stored another exception.
        return tuple(map(str, found)) if found and found[0] == name else ()

    async def values_of(
        self, expressions: Sequence[str], limit: float | None
    ) -> list[dict[str, Any]]:
        """Evaluate expressions in the kernel, in their order.

        Args:
            expressions: The expressions.
            limit: The seconds that they may take together; `None` for no limit.

        Returns:
            The replies to them, as the protocol of kernels has them: with `data` and `metadata`, or
            with `ename` and `evalue`; empty ones if the kernel knows no expressions
            (https://jupyter-client.readthedocs.io/en/stable/messaging.html#execution-results).
        """
        names = [f"_{number}" for number in range(len(expressions))]
        asked = dict(zip(names, expressions, strict=True))
        try:
            reply = await self._silently("", limit, user_expressions=asked)
        except KernelError:
            text = (
                f"the expressions {', '.join(map(repr, expressions)):.200} in its text took longer"
                f" than {limit:g} s (nbcache_timeout, or execution.timeout in the notebook's"
                " metadata, gives them more)"
            )
            raise ExpressionTimeoutError(text) from None
        # Plots of an expression are shown when the next code ends: they belong to no cell.
        await self._silently("", user_expressions={})
        values = reply.get("user_expressions")
        values = values if isinstance(values, dict) else {}
        found = [values.get(name) for name in names]
        return [value if isinstance(value, dict) else {} for value in found]

    async def _silently(
        self, code: str, limit: float | None = ANSWER_SECONDS, **options: Any
    ) -> dict[str, Any]:
        """Execute code that is not part of the notebook; return the content of the reply."""
        assert self.kc is not None
        # Both in one message, since every message takes time.
        code, self.before = self.before + code, ""
        if not code and not options:
            return {}
        asked = self.kc.execute(code, silent=True, store_history=False, **options)
        try:
            # nbclient (0.11) waits without a limit for a reply that belongs to no cell.
            reply = await asyncio.wait_for(self.async_wait_for_reply(asked), limit)
        except TimeoutError:
            raise KernelError(f"it has not answered for {limit:g} s") from None
        return dict(reply["content"]) if reply is not None else {}
