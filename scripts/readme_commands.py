"""Run the commands of Markdown files, so that what they tell users keeps working.

    python scripts/readme_commands.py README.md docs/pages/guides/*.md

Every line of a ```bash block that starts with `ppr ` is run in order, its ending comment left
away, in a folder a file that is deleted afterwards; a block that follows the comment
`<!-- not run: why -->` is left out. Exit code 1 at the first command that fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

_BLOCK = re.compile(r"(?P<skip><!-- not run: [^\n]*-->\n)?```bash\n(?P<body>.*?)```", re.DOTALL)


def commands(text: str) -> list[str]:
    """The `ppr` commands of the blocks that are to be run."""
    lines = [
        line.split("  #")[0].strip()
        for block in _BLOCK.finditer(text)
        if not block["skip"]
        for line in block["body"].splitlines()
    ]
    return [line for line in lines if line.startswith("ppr ")]


def main() -> int:
    return max(map(run, sys.argv[1:]))


def run(file: str) -> int:
    """1 if one of its commands fails, or it has none."""
    found = commands(Path(file).read_text(encoding="utf-8"))
    if not found and file == "README.md":
        print(f"{file}: no command to run", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for line in found:
            print(f"$ {line}", flush=True)
            code = subprocess.run(["bash", "-c", line], cwd=folder, check=False).returncode
            if code:
                print(f"exit code {code}: {line}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
