"""`python -m vidjax` is the `vidjax` command."""

import sys

from vidjax.cli.main import main

sys.exit(main())
