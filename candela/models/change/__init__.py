"""Change models: two dates of a pair, from standardised images to a probability of change."""
