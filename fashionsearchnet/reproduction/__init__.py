"""Executes recipes: trains and evaluates the rows of a table, and compares them with a paper's."""
