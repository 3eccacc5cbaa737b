"""``python -m siamesekit`` is the command ``siamesekit``."""

import sys

from siamesekit.cli import main

sys.exit(main())
