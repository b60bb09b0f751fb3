"""How the whole suite runs: property tests without deadlines, slow tests in parts, one cache."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# A shared machine makes single examples slow without making them wrong, hence no deadline. Under CI
# the examples are the same at every run, so that a red run can be repeated.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")

# Scripts that store PyTorch's numbers; they need PyTorch and are run by hand.
collect_ignore_glob = ["oracles/*"]


MADE_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Workers and the processes that tests start inherit one cache of programs, not the user's."""
    if "RETROGRAD_CACHE" not in os.environ:
        config.stash[MADE_CACHE] = tempfile.mkdtemp(prefix="retrograd-tests-")
        os.environ["RETROGRAD_CACHE"] = config.stash[MADE_CACHE]


def pytest_unconfigure(config: pytest.Config) -> None:
    if MADE_CACHE in config.stash:
        del os.environ["RETROGRAD_CACHE"]
        shutil.rmtree(config.stash[MADE_CACHE], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow-part", metavar="K/N", help="of the collected tests, every Nth from K")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("--slow-part")
    if asked is None:
        return
    part, parts = (int(word) for word in asked.split("/"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    kept = set(slow[part % parts :: parts])
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A part may be empty where there are fewer slow tests than parts."""
    if session.config.getoption("--slow-part") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
