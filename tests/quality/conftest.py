"""What the tests of the checks use."""

import time

import pytest


@pytest.fixture
def clock_of_the_machine():
    """Says how many seconds a call takes."""

    def took(call):
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return took
