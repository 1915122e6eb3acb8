"""Runs the command line: `python -m fanin`."""

import sys

from ._fanin import main

sys.exit(main())
