"""What a call costs, and what an import costs. Run ``python -m benchmarks``; see README.md."""
