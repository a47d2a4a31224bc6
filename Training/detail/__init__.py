"""What a despeckler must not lose: small structures, fibres, wall lines, glints, brightness, calm over time.

Smoothness is rewarded by every table of despeckling; this package measures the other side, on real frames, beside
bounds that the default weights have to keep. `detail_figures` measures a method in memory; the command is

    python -m Training.detail METHOD [METHOD ...] --data FOLDER [--published FOLDER] [--figures FOLDER] [--json FILE]
"""

from Training.detail.checks import detail_figures, detail_rows, failed
from Training.detail.figures import DetailFigure

__all__ = ["DetailFigure", "detail_figures", "detail_rows", "failed"]
