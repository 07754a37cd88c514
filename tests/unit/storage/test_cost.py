"""The peak memory of a stage does not include what the process held before."""

from pathlib import Path

import pytest

from storage import cost
from storage.cost import measured

MB = 1_000_000


def use(size_bytes: int) -> None:
    """Hold so much memory for a moment."""
    bytearray(b"\1" * size_bytes)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux resets a peak")
def test_a_stage_has_its_own_peak_beside_that_of_the_process() -> None:
    held = bytearray(b"\1" * (300 * MB))
    with measured() as large:
        use(200 * MB)
    with measured() as small:
        use(MB)
    assert large.own_peak_mb is not None
    assert small.own_peak_mb is not None
    assert 190 < large.own_peak_mb < 450
    assert small.own_peak_mb < 20, "neither what was held nor the stage before counts"
    assert small.peak_mb > len(held) / MB
    assert large.peak_mb - large.own_peak_mb > len(held) / MB * 0.9


def test_where_a_peak_cannot_be_reset_none_is_called_the_stages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cost, "Path", lambda _: tmp_path / "absent" / "file")
    with measured() as unknown:
        use(MB)
    assert unknown.own_peak_mb is None
    assert unknown.peak_mb > 1, "of the process, since it began"
