"""What is seen of a search from outside."""
