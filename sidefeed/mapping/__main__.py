"""``python -m sidefeed.mapping [CHECKOUT]``: write the JSON Schema and the reference tables anew."""

import sys
from pathlib import Path

from .schema import publish

publish(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
