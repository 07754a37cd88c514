"""What tests and fuzzing share: servers, homes, oracles, damaged files, simulated workers."""
