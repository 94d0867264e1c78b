"""AMNet [Zhao17]; README.md in this folder separates the known facts from our reading."""
