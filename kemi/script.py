"""What Kamailio loads: composes the edge from the file that VAXEL_EDGE names."""

import json
import os
import sys
from pathlib import Path

_settings = json.loads(Path(os.environ["VAXEL_EDGE"]).read_text())
for _path in _settings["python_path"]:
    if _path not in sys.path:
        sys.path.insert(0, _path)

from kemi.edge import Edge  # noqa: E402  (the path comes first)


def mod_init() -> Edge:
    """Called once, before the workers are forked."""
    return Edge(_settings)
