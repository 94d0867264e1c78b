"""AMNet [Zhao17]; see README.md in this folder for what is known of it and what is our reading."""

from fashionsearchnet.systems.amnet.model import AMNet

__all__ = ["AMNet"]
