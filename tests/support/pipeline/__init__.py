"""The stages of a night without Prefect, and what must hold for a file."""
