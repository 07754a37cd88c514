"""Great Expectations at work: one suite, asked of one frame after another.

Belongs here: the ephemeral context and what is peculiar to running Great Expectations fast and
without losing a row. Does not belong here: which checks there are (``expectations.suites``) and
what a failure means (``tasks.validation.validate``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from expectations.suites import ORDINAL_KEY, ColumnExpectation, SuiteName, build_suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationValidationResult
    from numpy.typing import NDArray

BOOLEAN_ONLY = {"result_format": "BOOLEAN_ONLY"}
COMPLETE = {"result_format": "COMPLETE"}
"""Without ``unexpected_index_column_names``: the frame's own index, here the position of the row,
comes back as plain numbers, every one of them, where named columns come back as a dictionary a
row (measured: 0.02 against 4.7 CPU s for 250,000 failing rows)."""


class SuiteRunner:
    """A suite in an ephemeral context of its own; building it imports Great Expectations."""

    def __init__(self, name: SuiteName, checks: Sequence[ColumnExpectation]) -> None:
        """Build the suite and add it to the context once.

        Args:
            name: the suite's name.
            checks: what is asked; a check is known by its ordinal here.
        """
        import great_expectations as gx
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        self.checks = tuple(checks)
        # Its own configuration makes folders for pages that nobody builds, and logs a line of each.
        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        )
        context = gx.get_context(mode="ephemeral", project_config=config)
        asset = context.data_sources.add_pandas("noctule").add_dataframe_asset(name)
        self._source = asset.add_batch_definition_whole_dataframe("chunk")
        self._suite = context.suites.add(build_suite(name, self.checks))
        self._expectations = {
            expectation.meta[ORDINAL_KEY]: expectation for expectation in self._suite.expectations
        }

    def find_failures(self, frame: "pd.DataFrame") -> Mapping[int, "NDArray[np.int64]"]:
        """Ask every check of a frame.

        The whole suite is asked for yes or no first; only the checks that failed are asked which
        rows, one at a time, so that no more than one list of rows is held as Python objects.

        Args:
            frame: grain: one row of the batch, or the one row of a profile; numpy dtypes and a
                ``RangeIndex`` from 0.

        Returns:
            For each check that failed, by ordinal, the positions of the failing rows, ascending.
            The order of the mapping is that of the checks.

        Raises:
            RuntimeError: Great Expectations could not evaluate a check, which is a bug of ours.
        """
        batch = self._source.get_batch(batch_parameters={"dataframe": frame})
        verdicts = batch.validate(self._suite, result_format=BOOLEAN_ONLY)
        failed = sorted(_ordinal(verdict) for verdict in verdicts.results if not verdict.success)
        failures = {}
        for ordinal in failed:
            verdict = batch.validate(self._expectations[ordinal], result_format=COMPLETE)
            positions = np.array(verdict.result["unexpected_index_list"], dtype=np.int64)
            failures[ordinal] = np.sort(positions)
        return failures


def _ordinal(verdict: "ExpectationValidationResult") -> int:
    """Return the ordinal of the check behind a verdict, or say why there is no verdict."""
    ordinal: int = verdict.expectation_config.meta[ORDINAL_KEY]
    for fault in verdict.exception_info.values():
        if isinstance(fault, dict) and fault.get("raised_exception"):
            config = verdict.expectation_config
            message = f"{config.type} on {config.kwargs['column']}: {fault['exception_message']}"
            raise RuntimeError(message)
    return ordinal
