"""Short argument checks whose messages name the argument, the rule, the value and the cure."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Returns `value` if it is one of `choices`, else raises a ValueError that lists them."""
    choices = list(choices)
    if value in choices:
        return value
    listed = ", ".join(str(choice) for choice in choices)
    raise ValueError(f"{name} must be one of {listed}; got {value!r}{suggestion(value, choices)}.")


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> float:
    """Returns `value` if low <= value <= high, else raises a ValueError with the bounds."""
    if not low <= value <= high:
        bounds = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
        raise ValueError(f"{name} must be {bounds}; got {value}.")
    return value


def whole_numbers(flag: str, texts: Collection[str], least: int) -> tuple[int, ...]:
    """Returns the numbers of a list flag, or raises a ValueError that names the flag."""
    if not texts or not all(text.strip().isdecimal() for text in texts):
        raise ValueError(f"--{flag} must be whole numbers with commas; got {','.join(texts)!r}.")
    numbers = tuple(int(text) for text in texts)
    if min(numbers) < least:
        raise ValueError(f"--{flag} must each be at least {least}; got {','.join(texts)}.")
    return numbers


def suggestion(value: Any, choices: Collection[Any]) -> str:
    """Returns ' (did you mean X?)' for the choice nearest to a misspelt `value`, or ''."""
    by_text = {str(choice).lower(): str(choice) for choice in choices}
    near = difflib.get_close_matches(str(value).lower(), list(by_text), n=1)
    return f" (did you mean {by_text[near[0]]}?)" if near else ""


def listed(texts: Sequence[str], most: int) -> str:
    """Returns the first texts, and how many more there are, for a message."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
