import pytest
from report.results import make_result

from stepsize.records import VERDICTS


@pytest.fixture(params=VERDICTS)
def verdict(request):
    return request.param


@pytest.fixture
def result():
    return make_result()
