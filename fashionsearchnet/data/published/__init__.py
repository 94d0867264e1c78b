"""What the data sets of papers share: reading their files, checking, splitting, reporting."""
