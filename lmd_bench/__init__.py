"""Fair, resumable benchmarking of long-tailed medical image classification."""
