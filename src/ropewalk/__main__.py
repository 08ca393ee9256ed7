"""`python -m ropewalk`: the command line, for where the script is not on the path.

Flow: arguments -> cli.main -> exit status
Never: does anything when it is imported.
"""

from __future__ import annotations

import sys

from ropewalk.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
