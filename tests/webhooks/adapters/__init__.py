"""The adapters, inside real frameworks on real servers."""
