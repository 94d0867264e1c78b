"""One search and its judgement: the same for tool, service and sheets."""
