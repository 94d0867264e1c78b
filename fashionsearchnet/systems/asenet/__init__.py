"""ASENet V1 and V2, CSN and the triplet net [Ma20]; README.md says what deviates."""
