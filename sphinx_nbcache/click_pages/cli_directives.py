"""The directives `jcache-cli` and `jcache-clear`, and the command that one names."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from sphinx_nbcache.click_pages.dependencies import named_files, note_commands
from sphinx_nbcache.click_pages.process import (
    ROOT,
    CommandError,
    PageCommand,
    Ran,
    console_block,
    failure_of,
    read_command,
    run_command,
    shown_text,
)
from sphinx_nbcache.click_pages.stores import PageReading, page_reading
from sphinx_nbcache.extension.domain import note_files
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notices import WARNING_TYPE, Topic


class _CliDirective(SphinxDirective):
    """The error handling of both directives: warn, and try again in the next build."""

    def warn(self, text: str) -> None:
        # No result is final after a failure: its cause may lie outside of the page's dependencies,
        # such as a package that is not installed yet.
        note_commands(self.env, well=False)
        LOGGER.warning(
            "%s: %s",
            self.name,
            text,
            type=WARNING_TYPE,
            subtype=Topic.CLI.value,
            location=self.get_location(),
        )

    def refuse(self, error: CommandError) -> list[nodes.Node]:
        """Warn, and show the error in the page."""
        self.warn(str(error))
        return [nodes.error("", nodes.paragraph("", f"{self.name}: {error}"))]


class JcacheClear(_CliDirective):
    """Empties the store that the commands of the page work on."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Empty the store; nothing is shown."""
        note_commands(self.env, well=True)
        try:
            page_reading(self.env).clear()
        except CommandError as error:
            return self.refuse(error)
        return []


class JcacheCli(_CliDirective):
    """Runs a click command, and shows the command line with what it printed."""

    optional_arguments = 1
    has_content = False
    option_spec: ClassVar = {
        "command": directives.unchanged,
        "args": directives.unchanged,
        "input": directives.unchanged,
        "allow-exception": directives.flag,
        "prog": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Run the command; return its block."""
        # First, because a later failure overrides it, and not the other way round.
        note_commands(self.env, well=True)
        try:
            command, reading = self._command(), page_reading(self.env)
            ran = self._run(command, reading)
        except CommandError as error:
            return self.refuse(error)
        line = command.line(ran.prog)
        failure = failure_of(command, ran)
        # The block is shown in any case: a warning and the output say more than either.
        if failure and "allow-exception" not in self.options:
            self.warn(f"`{line}` {failure}; the option :allow-exception: permits that")
        block = console_block(line, shown_text(ran.printed, reading.root, reading.store.place))
        self.set_source_info(block)
        return [block]

    def _command(self) -> PageCommand:
        subcommand, arguments, typed, prog = (
            self.options.get(name) or "" for name in ("command", "args", "input", "prog")
        )
        target = self.arguments[0] if self.arguments else ROOT
        return read_command(target, subcommand, arguments, typed=typed, prog=prog)

    def _run(self, command: PageCommand, reading: PageReading) -> Ran:
        """Run a command, and note the dependencies of the page.

        Files that a command of the page writes are not dependencies: two pages that write one file
        would make each other outdated forever.
        """
        before = named_files(command.words, reading.root)
        ran = run_command(command, reading.root, reading.store.place)
        # Also files that the command has created: removing one makes the page outdated.
        after = named_files(command.words, reading.root)
        reading.written |= {path for path in after if after[path] != before.get(path)}
        note_files(self.env, [path for path in after if path not in reading.written])
        # Before the error is raised: a page that failed is read again when the module changes.
        note_files(self.env, ran.files)
        if ran.trouble:
            raise CommandError(ran.trouble)
        return ran
