"""The generated module is what the table says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GENERATOR = ROOT / "tools" / "generate_resources.py"


def test_the_client_is_what_the_table_says() -> None:
    """``_resources.py`` is, letter by letter, what the generator makes of today's table."""
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
