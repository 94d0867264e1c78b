"""Our figures beside a paper's: which runs a table needs, what is done of them, the report."""
