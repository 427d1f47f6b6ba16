"""`python -m tuneful.cli` is the command `tuneful`."""

from __future__ import annotations

import sys

from tuneful.cli.door import main

if __name__ == "__main__":
    sys.exit(main())
