"""``python -m stepsize``."""

import sys

from stepsize.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
