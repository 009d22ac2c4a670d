"""A function that has to start first lets its event wait: what it imports stays small."""

from __future__ import annotations

import pytest

from tools import import_times

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("job", import_times.jobs())
def test_a_handler_is_imported_in_less_time_than_boto3_which_is_there_anyway(job: str) -> None:
    """A ratio within one process, the best of several; `make bench` has the milliseconds, and their bar."""
    import_times.runs(job, times=1)  # writes byte code
    ratios = (run.handler / run.boto3 for _ in range(import_times.TIMES) for run in import_times.runs(job, times=1))
    assert any(ratio < 1 for ratio in ratios)


def test_an_import_that_takes_longer_is_seen_to() -> None:
    [quick] = import_times.runs("invoice", times=1)
    [slow] = import_times.runs("invoice", before=import_times.NO_BYTE_CODE, times=1)
    assert slow.handler > 1.5 * quick.handler
