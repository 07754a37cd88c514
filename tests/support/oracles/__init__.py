"""Oracles: slow plain Python that computes the expected result again."""
