"""`python -m worker`: the worker process on its own."""

from __future__ import annotations

import sys

from worker.main import main

sys.exit(main(sys.argv[1:]))
