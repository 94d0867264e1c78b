"""An unpickler that runs nothing but what a reader of weights lists."""

import pickle
from collections.abc import Mapping
from typing import Any, ClassVar


class SafeUnpickler(pickle.Unpickler):
    """Unpickles numbers, strings and containers, and what a subclass allows.

    A pickle may ask for any function of Python and call it. This one refuses by name.

    Attributes:
      allowed: what 'module.name' in a pickle stands for.
    """

    allowed: ClassVar[Mapping[str, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in self.allowed:
            raise pickle.UnpicklingError(
                f"its pickle asks for {full_name}, which no weights need; nothing of it was run"
            )
        return self.allowed[full_name]
