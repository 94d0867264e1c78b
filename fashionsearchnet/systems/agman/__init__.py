"""AG-MAN [Xiao24]; README.md in this folder says what deviates."""
