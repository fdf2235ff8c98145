"""Digests of environment variables: plain ones, and keyed ones of secrets."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from sphinx_nbcache.traces.fingerprints import text_digest


class SecretKey(Protocol):
    """Returns the account's key for digests of secrets."""

    def __call__(self, *, make: bool) -> bytes | None:
        """Return the key; `None` if there is none.

        Args:
            make: Whether to make a key if there is none.
        """


# The variables that change the behaviour of Python code; the others affect start-up and debugging
# (https://docs.python.org/3/using/cmdline.html#environment-variables).
_OF_PYTHON = (
    *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONINTMAXSTRDIGITS", "PYTHONHOME", "PYTHONNOUSERSITE"),
)
# Not a valid variable name, so it cannot collide with a variable that user code reads.
PYTHON_VARIABLES = "PYTHON*"
# ipykernel sets these in every kernel, whatever they were (`ZMQInteractiveShell.init_environment`),
# and jupyter_client passes the last one.
OF_KERNELS = frozenset(
    {"TERM", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "PAGER", "GIT_PAGER", "JPY_PARENT_PID"}
)
# Whole words of names. The digest of a short secret could be guessed, and stores are shared.
_SECRET_WORDS = frozenset(
    """
    TOKEN TOKENS SECRET SECRETS PASSWORD PASSWORDS PASSWD PASS PASSPHRASE PWD PW KEY KEYS APIKEY
    CREDENTIAL CREDENTIALS CREDS AUTH PAT
    """.split()
)
_NOT_SECRET = frozenset({"PWD", "OLDPWD"})
# Earlier versions kept nothing of the values of these.
_ONCE_SECRET = re.compile(r"TOKEN|SECRET|KEY|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Tell whether a variable of this name may hold a secret: by the words between underscores."""
    words = set(re.split(r"[_\W]+", name.upper()))
    return name not in _NOT_SECRET and not words.isdisjoint(_SECRET_WORDS)


def was_secret(name: str) -> bool:
    """Tell whether earlier versions took the name for that of a secret."""
    return _ONCE_SECRET.search(name) is not None


def no_key(*, make: bool) -> None:
    """Return no key: nothing of secrets is kept."""


def variable_digest(name: str, variables: Mapping[str, str]) -> str:
    """Return the digest of a variable's value; empty if it is not set.

    [](PYTHON_VARIABLES) stands for all variables that change Python's behaviour.
    """
    if name == PYTHON_VARIABLES:
        return text_digest(*(f"{name}={variables.get(name)}" for name in _OF_PYTHON))
    value = variables.get(name)
    return text_digest(value) if value is not None else ""


def keyed_digest(name: str, variables: Mapping[str, str], key: bytes) -> str:
    """Return a digest of a secret that tells nothing to those who do not have the key."""
    value = variables.get(name)
    state = "unset" if value is None else f"={value}"
    return hmac.digest(key, f"{name}\0{state}".encode("utf-8", "surrogatepass"), "sha256").hex()


def key_name(key: bytes) -> str:
    """Return a text that tells keys apart and does not reveal them."""
    # Names of variables are not empty, so this is the digest of no variable.
    return hmac.digest(key, b"\0name", "sha256").hex()[:32]


def of_python(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that change Python's behaviour and are set, with their digests."""
    for name in _OF_PYTHON:
        if name in variables:
            yield name, variable_digest(name, variables)


def digest_of_part(part: str, variables: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return a digest of the variables whose names contain a text, and their names.

    Only the names of secrets count.
    """
    names = sorted(name for name in variables if part in name and name not in OF_KERNELS)
    texts = [name if is_secret(name) else f"{name}={variables[name]}" for name in names]
    return text_digest(*texts), tuple(names)
