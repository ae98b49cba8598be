"""The command ``pidj``: every call of the API, a sandbox, and a demonstration of the whole.

It needs the extra ``cli``. ``pidj --help`` tells the rest.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = frozenset({"click", "docstring_parser", "rich", "starlette", "uvicorn"})


def main() -> None:
    """Run the command with the arguments of this process, and exit with its code."""
    try:
        # Here, and not at the head: whoever installed no more than the client is told what is missing.
        from pidj_async.cli.app import pidj  # noqa: PLC0415

        pidj()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(f'pidj needs {error.name}, which is not installed: pip install "pidj-async[cli]"\n')
        raise SystemExit(2) from None
