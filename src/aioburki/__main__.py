"""Run the command line, or print what to install if its packages are missing."""

from __future__ import annotations

import sys


def main() -> int:
    """Run ``aioburki`` with the arguments of the process and return the exit code."""
    try:
        from .cli import run  # noqa: PLC0415 - cyclopts and tqdm are optional
    except ModuleNotFoundError as error:
        if error.name not in ("cyclopts", "tqdm"):
            raise
        print("The command line needs more packages: pip install 'aioburki[cli]'", file=sys.stderr)
        return 2
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
