"""python -m ropejit: as the command ropejit."""

import sys

from ropejit_cli import main

sys.exit(main())
