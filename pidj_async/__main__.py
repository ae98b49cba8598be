"""``python -m pidj_async`` is the command ``pidj``."""

from __future__ import annotations

from pidj_async.cli import main

if __name__ == "__main__":
    main()
