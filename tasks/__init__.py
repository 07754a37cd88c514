"""What flows call: a room for each part of the work; Prefect tasks are at the end of a module.

``ROOMS`` is the order of the rooms, and of the modules next to them: each imports only from those
before it, and no module of a room imports one that imports it.
"""

from typing import Final

ROOMS: Final = (
    "arrays",
    "ratios",
    "wording",
    "pages",
    "task",
    "fingerprint",
    "intake",
    "validation",
    "networks",
    "features",
    "detectors",
    "evaluation",
    "contracts",
    "scoring",
    "drift",
    "store",
    "training",
    "retraining",
    "study",
    "reporting",
    "simulation",
)
"""The rooms and modules, from the lowest to the highest."""
