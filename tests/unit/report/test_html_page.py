"""The report as one HTML page, from records made by hand."""

import errno
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.factories import (
    make_bracket,
    make_fact,
    make_provenance,
    make_record,
    make_status,
    make_sweep,
    small_study,
)
from support.html_text import readable
from sweeper.config import Sweep
from sweeper.errors import InputError, SweeperError
from sweeper.reports import write_report
from sweeper.reports.html_page import page, study_text
from sweeper.reports.summary import headline, standing
from sweeper.types import LastError, RecordedRange, TrialRecord


def sentence(sweep: Sweep, facts: list[TrialRecord]) -> str:
    """Return the part of the standing that is about the objective's track."""
    return standing(make_record(sweep, facts)).partition(" As trained")[0]


def written(sweep: Sweep, facts: list[TrialRecord], found: Sequence[RecordedRange] = ()) -> str:
    return page(make_record(sweep, facts, ranges=found))


def test_the_standing_compares_at_the_highest_target_that_two_arms_reach() -> None:
    assert sentence(*small_study()) == (
        "Of the search alone (1 repeat): at 98 % validation accuracy the smallest network is l1's "
        "with 8,000 of 266,610 parameters nonzero (test 98.20 %), then none's with 20,000 (test "
        "97.90 %)."
    )


def test_all_whose_networks_are_as_small_are_named() -> None:
    sweep, facts = small_study()
    same = [
        make_fact(
            sweep=sweep,
            arm=fact.slot.arm,
            slot=fact.slot.number,
            nonzero=8000,
            val=0.981,
            test=0.98,
        )
        for fact in facts
    ]
    assert sentence(sweep, same).endswith("(test 98.00 %); l1's is as small.")
    arms: dict[str, Any] = {name: {} for name in "abcde"}
    for count, said in ((3, "those of b and c are"), (5, "those of 4 other arms are")):
        sweep = make_sweep(search={"trials": 1}, arms=dict(list(arms.items())[:count]))
        alike = [make_fact(sweep=sweep, arm=arm, nonzero=8000, val=0.981) for arm in sweep.arms]
        assert sentence(sweep, alike).endswith(f"; {said} as small.")


def test_what_was_not_fine_tuned_is_not_called_so() -> None:
    sweep, facts = small_study(sparsification={"track": "as_trained", "finetune_epochs": 0})
    text = readable(written(sweep, facts))
    assert " Pruned: at " in text
    assert "pruned by magnitude to their density. " in text
    assert "fine-tuned" not in text


def test_an_arm_whose_front_is_worth_nothing_has_no_share_of_it() -> None:
    sweep = make_sweep(search={"trials": 4})
    facts = [
        make_fact(sweep=sweep, arm=arm, slot=slot, nonzero=266_610, val=0.98, test=0.98)
        for arm in sweep.arms
        for slot in range(4)
    ]
    text = readable(written(sweep, facts))
    assert "Effort of tuning" in text
    assert "nan" not in text


def test_the_standing_of_an_unfinished_sweep_says_how_far_it_is() -> None:
    sweep, facts = small_study()
    some = [facts[0], facts[3]]
    assert "(1 repeat, after 2 of 4 trials): at 98 % " in sentence(sweep, some)
    assert sentence(sweep, []) == "No network that counts is on record yet."
    said = headline(make_record(sweep, some))
    assert said == "No answer yet: 2 of 4 trials done. For one: sweeper run FILE."


def test_targets_that_nobody_reaches_are_not_reached() -> None:
    sweep = make_sweep(search={"trials": 1})
    facts = [make_fact(sweep=sweep, arm=arm, val=0.9) for arm in sweep.arms]
    said = "no arm reaches 97 % validation accuracy, the lowest target."
    assert sentence(sweep, facts) == f"Of the search alone (1 repeat): {said}"


def one_less(facts: list[TrialRecord]) -> list[TrialRecord]:
    return facts[:-1]


def other_data(facts: list[TrialRecord]) -> list[TrialRecord]:
    odd = make_fact(arm="l1", slot=1, provenance=make_provenance(data_hash="e" * 64))
    return [*facts[:-1], odd]


def other_device(facts: list[TrialRecord]) -> list[TrialRecord]:
    odd = make_fact(arm="l1", slot=1, provenance=make_provenance(processor="Other CPU"))
    return [*facts[:-1], odd]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (one_less, "unequal numbers of finished trials: none 2, l1 1"),
        (other_data, "different data; the data hashes are dddddddddddd, eeeeeeeeeeee"),
        (
            other_device,
            "1 of 4 trials come from another kind of machine (Other CPU (cpu), torch 2.15.0, "
            "sweeper 0.1.0; others from Some CPU (cpu), torch 2.15.0, sweeper 0.1.0), and what "
            "that changes is not known: sweeper reproduce toy.",
        ),
    ],
)
def test_arms_are_not_ranked_if_they_cannot_be_compared(change: Any, reason: str) -> None:
    sweep, facts = small_study()
    text = written(sweep, change(facts))
    assert reason in readable(text)
    assert "These arms are not ranked." in readable(text)
    assert "the smallest network is" not in readable(text)
    assert "class=best" not in text
    assert "class=best" in written(sweep, facts)


def test_drifting_commits_are_remarked_on_but_do_not_forbid_ranking() -> None:
    sweep, facts = small_study()
    odd = make_fact(arm="l1", slot=1, val=0.981, provenance=make_provenance(git_commit="f" * 40))
    text = readable(written(sweep, [*facts[:-1], odd]))
    assert f"different commits: 0123456789abcdef0123456789abcdef01234567, {'f' * 40}." in text
    assert "the smallest network is" in text


def test_a_study_that_selects_on_test_says_so_on_top_and_in_its_tables() -> None:
    sweep, facts = small_study(select_on="test")
    text = readable(written(sweep, facts))
    assert "This study selects on TEST accuracy" in text
    assert "chosen on TEST accuracy (select_on: test)" in text
    assert "best test" in text
    assert not make_record(*small_study()).caveats


def test_the_table_shows_nonzeros_at_targets_with_test_accuracy_beside() -> None:
    text = readable(written(*small_study()))
    assert "at 97 % at 97.5 % at 98 % at 98.2 % best validation hypervolume" in text
    assert "l1 2 0 0 4,000 test 97.50 4,000 test 97.50 8,000 test 98.20 – 98.10" in text


AUTO = {"none": {}, "l1": {"penalty": "l1", "strength": "auto"}}


def test_a_range_is_shown_with_what_its_probe_saw_at_both_ends() -> None:
    sweep, facts = small_study(arms=AUTO)
    text = readable(written(sweep, facts, [make_bracket(reused=True)]))
    assert "Ranges of strengths" in text
    row = "l1 strength 0.001 0.1 98.0 % 250,000 91.1 % 1,234 collapsed at 1: 11.3 % 12.3 reused"
    assert row in text
    assert "strength 0.001 … 0.1 (log)" in text  # in the table of the arms
    assert "the range may go on" not in text
    assert "automatic, not known yet" in readable(written(sweep, facts))


def test_a_picture_of_a_probe_shades_the_range_that_was_searched() -> None:
    sweep, facts = small_study(arms=AUTO)
    text = written(sweep, facts, [make_bracket()])
    [rect] = re.findall(r'class="probe".*?<rect x="([\d.]+)" y="0" width="([\d.]+)"', text)
    # Strengths 1e-4 to 1, 162 wide from 3 on: the range is the second and third quarter.
    assert [float(one) for one in rect] == pytest.approx([3 + 162 / 4, 162 / 2], abs=0.1)
    [accuracy] = re.findall(r'class="accuracy" d="M([^"]*)"', text)
    heights = [float(corner.split()[1]) for corner in accuracy.split("L")]
    assert heights == pytest.approx(
        [43 - 40 * y for y in (0.981, 0.98, 0.975, 0.911, 0.113)], abs=0.1
    )


def test_ranges_of_very_different_width_are_remarked_on() -> None:
    """Ranges of two and of four decades: the second arm's trials are spread twice as thin."""
    arms = {**AUTO, "l2": {"penalty": "l2", "strength": "auto"}}
    sweep, facts = small_study(arms=arms)
    narrow, wide = make_bracket(), make_bracket("l2", high=10.0)
    text = readable(written(sweep, facts, [wide, narrow]))
    assert (
        "Searched were 2.0 decades of strengths for l1 and 4.0 decades for l2: of as many trials, "
        "fewer of the second fall where it counts." in text
    )
    less = replace(wide, range=replace(wide.range, high=9.0))
    for found in ([narrow, less], [wide], []):
        assert "decades" not in readable(written(sweep, facts, found))


def test_open_ends_of_ranges_are_remarked_on() -> None:
    sweep, facts = small_study(arms=AUTO)
    found = [make_bracket(open_above=True, open_below=True)]
    text = readable(written(sweep, facts, found))
    assert "Even the weakest strength of the probe changes the networks of l1:" in text
    assert "No strength of the probe makes l1 collapse:" in text
    assert "0.001 open below 0.1 open above" in text


def test_a_front_that_ends_on_the_edge_of_its_range_is_remarked_on() -> None:
    short = "The front of l1 ends on the edge of a searched strength"
    whole = "l1: an end of its front lies on the upper edge of strength (0.001 to 0.1)"
    arms = {"none": {}, "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-3, 1e-1]}}}
    for given, found in ((AUTO, [make_bracket()]), (arms, [])):
        sweep, facts = small_study(arms=given)
        facts[2] = make_fact(sweep=sweep, arm="l1", val=0.97, params={"strength": 0.099})
        text = readable(written(sweep, facts, found))
        assert short in text
        assert whole in text
        assert readable(written(sweep, facts[:2], found)).count("lies on the") == 0


def test_a_sweep_without_ranges_has_no_section_of_them() -> None:
    assert "Ranges of strengths" not in written(*small_study())


MANY = {
    "none": {},
    **{f"arm-{n}": {"penalty": "l1", "strength": {"log_uniform": [1e-9, 1]}} for n in range(29)},
}


def test_of_many_arms_the_best_and_the_dense_one_have_a_colour() -> None:
    sweep = make_sweep(search={"trials": 1}, arms=MANY)
    facts = [
        make_fact(sweep=sweep, arm=arm, nonzero=20_000 - 300 * place, params={"strength": 1e-4})
        for place, arm in enumerate(MANY)
    ]
    text = written(sweep, facts)
    sketch = re.findall(r'<svg viewBox="0 0 960.*?</svg>', text)[0]
    legend = re.findall(r"<text[^>]*>([^<]+)</text>", sketch)[-11:]
    colour = ["none", *(f"arm-{n}" for n in range(22, 29))]
    key = ["validation (selected on)", "test"]
    assert legend[: len(legend) - legend[::-1].index("test")][-11:] == [
        *colour,
        "22 other arms",
        *key,
    ]
    assert sketch.count('stroke="var(--faint)"') == 22 + 1
    swatches = re.findall(r'<svg class="chip".*?</svg>(?=arm-|none)', text)
    assert sum("var(--faint)" in swatch for swatch in swatches) == 22
    assert len({*swatches}) == 8 + 1
    assert "of 30 arms the 7 of largest hypervolume and none in colour" in text
    assert "at a given accuracy on mnist?" in readable(text)  # without thirty names
    # All of them stand in the tables.
    assert all(f"<th scope=row>{arm}<" in text for arm in MANY)


def test_a_sketch_is_wider_for_a_long_name() -> None:
    sweep = make_sweep(search={"trials": 1}, arms={"a" * 30: {}, "b" * 40: {}})
    text = written(sweep, [make_fact(sweep=sweep, arm="a" * 30)])
    [sketch, *_] = re.findall(r'<svg viewBox="0 0 (\d+) 480.*?</svg>', text)
    assert int(sketch) > 960
    assert f">{'b' * 40}</text>" in text


def test_of_a_name_as_long_as_names_may_be_the_legend_shows_both_ends() -> None:
    ends = ["entropy", "shuffled"]
    names = ["-".join([ends[0], "x" * 37, end]) for end in ("plain", ends[1])]
    sweep = make_sweep(search={"trials": 1}, arms={name: {} for name in names})
    text = written(sweep, [make_fact(sweep=sweep, arm=names[0])])
    legend = re.findall(r">(entropy-x+…x+-\w+)</text>", text)
    assert [name.rpartition("-")[2] for name in legend[:2]] == ["plain", ends[1]]


def test_failures_are_counted_and_never_on_a_front() -> None:
    sweep, facts = small_study()
    facts[2] = make_fact(sweep=sweep, arm="l1", slot=0, state="diverged")
    facts[3] = make_fact(sweep=sweep, arm="l1", slot=1, val=0.1, state="collapsed")
    assert "l1 2 1 1 – – – – – 0.0000" in readable(written(sweep, facts))


def test_attempts_that_were_lost_are_counted_by_arm_and_class() -> None:
    sweep, facts = small_study()
    status = make_status(sweep, facts)
    assert "Attempts that came to nothing" not in readable(page(make_record(sweep, facts)))
    first, *others = status.arms
    error = LastError("RuntimeError: <boom>", 0.0)
    first = replace(first, failures={"killed": 2, "error": 1}, last_error=error)
    others[0] = replace(others[0], failures={"lease over": 3})
    status = replace(status, arms=(first, *others))
    text = page(replace(make_record(sweep, facts), status=status))
    assert "arm killed error lease over none RuntimeError: &lt;boom&gt; 2 1 0 l1 0 0 3" in readable(
        text
    )


def test_the_study_file_in_the_report_gives_the_same_sweep(tmp_path: Path) -> None:
    sweep = make_sweep()
    path = tmp_path / "again.yaml"
    path.write_text(study_text(sweep))
    assert Sweep.load(path).digest == sweep.digest
    assert yaml.safe_load(study_text(sweep))["name"] == "toy"


@pytest.mark.parametrize(
    ("section", "keys", "said"),
    [
        ("sparsification", {}, "the weights that are largest in magnitude over all layers are"),
        ("sparsification", {"scope": "erk"}, "in each layer are kept, a larger share the smaller"),
        (
            "sparsification",
            {"granularity": "output", "prune_dead_biases": True},
            "the output units whose weights are largest in root mean square over all layers are "
            "kept up to the density; biases that no weight leads on from go, too",
        ),
        (
            "sparsification",
            {"granularity": "2:4", "prune": ["!5*"]},
            "of 4 consecutive inputs the 2 weights that are largest in magnitude are kept, among "
            "the weights !5* (! are left out)",
        ),
        (
            "training",
            {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}, "teacher": "a.b:c"},
            "minimises cross entropy with labels smoothed by 0.1, and with weight 0.5 the distance "
            "from the outputs of a.b:c at temperature 2",
        ),
    ],
)
def test_what_is_pruned_and_minimised_is_said_as_the_file_has_it(
    section: str, keys: dict[str, Any], said: str
) -> None:
    raw = small_study()[0].model_dump(mode="json")
    if "granularity" in keys:
        raw[section] = {"finetune_epochs": 1}
    raw[section] = {**raw[section], **keys}
    text = readable(written(Sweep.model_validate(raw), []))
    assert said in text
    assert ("Training minimises" in text) == (section == "training")


def test_the_page_is_whole_small_and_names_no_other_place() -> None:
    class Checker(HTMLParser):
        attributes: list[tuple[str, str | None]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.attributes += attrs

    text = written(*small_study())
    assert len(text.encode()) < 4_000_000
    checker = Checker()
    checker.feed(text)
    assert not {name for name, _ in checker.attributes} & {"src", "href"}
    assert "$" not in readable(text)


def test_what_comes_from_outside_is_escaped() -> None:
    sweep, facts = small_study()
    evil = "</script><script>alert(1)</script><b>"
    odd = make_fact(
        sweep=sweep,
        arm="l1",
        slot=1,
        params={"mix": evil},
        provenance=make_provenance(host=evil, processor=evil),
    )
    text = written(sweep, [*facts[:-1], odd])
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_provenance_lists_every_host_and_the_data_hash() -> None:
    sweep, facts = small_study()
    facts[0] = make_fact(sweep=sweep, arm="none", provenance=make_provenance(host="node-2"))
    text = readable(written(sweep, facts))
    assert "node-1 (3 trials) node-2 (1 trials)" in text
    assert "d" * 64 in text


def test_the_report_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    sweep, facts = small_study()
    path = tmp_path / "reports" / "toy.html"
    path.parent.mkdir()
    path.write_text("old")
    with path.open() as reader:  # a browser that is just reading it
        assert write_report(path, make_record(sweep, facts)) == path
        assert reader.read() == "old"
    assert [found.name for found in path.parent.iterdir()] == ["toy.html"]
    assert path.read_text(encoding="utf-8").endswith("</html>\n")


def test_a_full_disk_is_one_line_and_keeps_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sweep, facts = small_study()
    path = tmp_path / "toy.html"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SweeperError, match=r"toy\.html: writing failed: No space left on device$"):
        write_report(path, make_record(sweep, facts))
    assert [found.name for found in tmp_path.iterdir()] == ["toy.html"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("place", ["file/toy.html", "folder"])
def test_a_path_that_cannot_be_written_to_is_the_users_mistake(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    sweep, facts = small_study()
    with pytest.raises(InputError, match=r"cannot be written: "):
        write_report(tmp_path / place, make_record(sweep, facts))
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder"]


def test_a_report_tells_trials_from_the_networks_that_they_bring() -> None:
    ladder = {"densities": [0.1, 0.05, 0.02]}
    sweep = make_sweep(search={"trials": 2, "seeds": 2}, sparsification=ladder)
    facts = [
        make_fact(sweep=sweep, arm=arm, slot=slot, network=n, nonzero=9000 - 1000 * n)
        for arm in sweep.arms
        for slot in range(2)
        for n in range(6)
    ]
    text = readable(written(sweep, facts))
    brings = "2 trainings with seeds of their own, each cut at 3 densities (0.1, 0.05, 0.02)"
    assert f"sampler tpe; 2 + 1 epochs; each trial: {brings}." in text
    assert "0.07 hours of training in 4 trials with 24 networks" in text
    assert "24 networks on record." in text
    # On the other track a training is one network, and none of it was cut too far.
    main, other = text.split("The as-trained track beside")
    assert "2 12 networks 0 0" in main
    assert "2 4 networks – –" in other
    # Arms with equal trials are ranked whatever the networks.
    assert "unequal numbers" not in text
    assert "unequal numbers of finished trials: none 2, l1 1" in readable(
        written(sweep, facts[:-6])
    )
