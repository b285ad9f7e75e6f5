"""What attacks achieved: curves, rates with their intervals, tests, verdicts. Arrays in, numbers out."""
