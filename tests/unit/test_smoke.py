"""The pins that hold the stack together: each import below has broken with a newer neighbour."""

import importlib

import pytest


@pytest.mark.parametrize("module", ["prefect.server.api.server", "evidently.presets"])
def test_imports_with_the_locked_neighbours(module: str) -> None:
    assert importlib.import_module(module)
