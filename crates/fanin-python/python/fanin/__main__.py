"""`python -m fanin`: the command line."""

import sys

from ._fanin import main

sys.exit(main())
