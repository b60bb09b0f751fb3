"""What a tensor is, and what an op must answer. NumPy only."""
