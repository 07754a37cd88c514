"""Simulated workers that share a database and a lake, are interleaved and are killed."""
