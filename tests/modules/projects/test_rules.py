"""Rules of projects: every pair of the table."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest

from db.refusal import InvalidTransition, ValidationFailed
from modules.projects.rules import (
    ARCHIVABLE,
    FINISHED,
    NEXT,
    REOPENED,
    ProjectStatus,
    check_archivable,
    check_dates,
    check_end,
    move,
    reopened,
)


@pytest.mark.parametrize(("current", "target"), list(product(ProjectStatus, ProjectStatus)))
def test_moves_follow_the_table(current: ProjectStatus, target: ProjectStatus) -> None:
    if target in NEXT[current]:
        assert move(current, target) is target
    else:
        with pytest.raises(InvalidTransition) as refused:
            move(current, target)
        assert refused.value.allowed == [s.name for s in ProjectStatus if s in NEXT[current]]


@pytest.mark.parametrize("status", ProjectStatus)
def test_only_finished_projects_are_reopened(status: ProjectStatus) -> None:
    if status in FINISHED:
        assert reopened(status) is REOPENED[status]
        assert NEXT[REOPENED[status]]
    else:
        with pytest.raises(InvalidTransition):
            reopened(status)


@pytest.mark.parametrize("status", ProjectStatus)
def test_projects_in_work_are_not_archived(status: ProjectStatus) -> None:
    if status in ARCHIVABLE:
        check_archivable(status)
    else:
        with pytest.raises(InvalidTransition):
            check_archivable(status)


def test_every_status_has_its_row() -> None:
    assert set(NEXT) == set(ProjectStatus)
    assert {status for status in ProjectStatus if not NEXT[status]} == FINISHED


def test_nothing_ends_before_it_starts() -> None:
    day, before = date(2026, 3, 2), date(2026, 3, 1)
    check_dates(day, day)
    check_dates(None, before)
    check_dates(day, None)
    check_end(None, before)
    check_end(day, day)
    with pytest.raises(ValidationFailed):
        check_dates(day, before)
    with pytest.raises(ValidationFailed):
        check_end(day, before)
