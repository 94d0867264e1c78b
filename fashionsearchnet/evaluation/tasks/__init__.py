"""The three tasks. Each says its questions, its rankings and its metrics."""
