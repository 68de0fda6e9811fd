# Kamailio's KEMI module. It exists only inside Kamailio; what is in it depends on its modules.
from typing import Any

def __getattr__(name: str) -> Any: ...
