"""Score methods on the published in-vivo carotid frames beside the published outputs.

    python Testing/benchmarks/published_frames.py FOLDER [METHOD ...]

The same as ``python -m Training.evidence published FOLDER [METHOD ...]``, where it is described.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))


def main() -> None:
    """Print one row for each published and each given method."""
    from Training.evidence.published_table import published_table

    parser = argparse.ArgumentParser(description="Score methods on the published carotid frames.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("methods", nargs="*", help="models, weight files or filters; default: the default model")
    arguments = parser.parse_args()
    Console(width=160).print(published_table(arguments.folder, arguments.methods))


if __name__ == "__main__":
    main()
