"""What carries tickets out."""
