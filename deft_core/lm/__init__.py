"""Everything that needs torch or transformers. Browsing pages never import this package."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded; docs/decisions/0012
