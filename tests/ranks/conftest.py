"""Makes the scripts beside the tests importable: the processes of a group run them too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
