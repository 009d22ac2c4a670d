"""A function that has to start first lets its event wait: what it imports stays small."""

from __future__ import annotations

import pytest

from tools import import_times

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("job", import_times.jobs())
def test_a_handler_is_imported_within_its_bar(job: str) -> None:
    """The fastest of several, since a busy machine slows every import down."""
    import_times.runs(job, times=1)  # writes byte code
    assert min(handler for handler, _ in import_times.runs(job)) <= import_times.BAR_MS


def test_an_import_that_takes_longer_is_seen_to() -> None:
    [(quick, _)] = import_times.runs("invoice", times=1)
    [(slow, _)] = import_times.runs("invoice", before=import_times.NO_BYTE_CODE, times=1)
    assert slow > 1.5 * quick
