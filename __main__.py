"""`python -m crossframe` is the command `crossframe`."""

import sys

from .experiments.command.cli import main

sys.exit(main())
