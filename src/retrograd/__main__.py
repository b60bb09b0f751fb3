"""``python -m retrograd``: the same command."""

import sys

from retrograd.cli.main import main

sys.exit(main())
