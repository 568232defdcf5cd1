"""The runs database: every update and evaluation, in one SQLite file, as it happens."""

from stepsize.store.comparisons import StoredComparison
from stepsize.store.lease import Lease
from stepsize.store.runs import Event, StoredRun
from stepsize.store.store import Store

__all__ = ["Event", "Lease", "Store", "StoredComparison", "StoredRun"]
