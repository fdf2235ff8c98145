"""Subprocesses and network hosts."""

import os
import re


class Outside:
    """The started processes and contacted hosts, and the files that commands name."""

    def __init__(self, log, named, processes):
        self.log = log
        self.named = named
        self.processes = processes
        self.hosts = {}

    def on_popen(self, program, arguments, folder, environment):
        self._note(arguments, folder)

    def on_exec(self, program, arguments, environment):
        self._note(arguments)

    def on_spawn(self, program, arguments, environment):
        # Already reported by `subprocess.Popen`.
        if self.processes.started[-1:] != [[os.fsdecode(word) for word in arguments]]:
            self._note(arguments)

    def on_system(self, command):
        self._note(["sh", "-c", command])

    def _note(self, arguments, folder=None):
        if isinstance(arguments, (str, bytes)):
            arguments = [arguments]
        words = [os.fsdecode(word) for word in arguments]
        self.processes.note(words)
        for word in words:
            if folder is not None:
                self.named.consider(os.path.join(os.fsdecode(folder), word), of_command=True)
            self.named.consider(word, of_command=folder is None)
            self.named.consider_words(word)

    def on_connect(self, socket, address):
        if isinstance(address, tuple):
            self.on_host(address[0])

    def on_host(self, host, *more):
        if host and isinstance(host, (str, bytes)):
            self.hosts[os.fsdecode(host)] = True
            self.log.note("host", os.fsdecode(host))

    def on_url(self, url, *more):
        self.on_host(re.sub(r"^\w+://([^/?#]*@)?([^/:?#]*).*", r"\2", str(url)))
