"""Names of sets in tables and files."""

from __future__ import annotations

from trainer.evaluation.results import unique_names


def test_no_two_sets_share_a_name_and_one_that_is_its_own_is_kept() -> None:
    assert unique_names(["redweb", "redweb", "nyu", "redweb"]) == ["redweb", "redweb-2", "nyu", "redweb-3"]
    assert unique_names(["redweb", "redweb", "redweb-2"]) == ["redweb", "redweb-3", "redweb-2"]
    assert unique_names(["redweb-2", "redweb", "redweb"]) == ["redweb-2", "redweb", "redweb-3"]
