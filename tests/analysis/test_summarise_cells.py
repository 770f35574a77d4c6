"""Claims, cells and notes from made-up rows; whole tables are made in test_printed_tables.py."""

from dataclasses import dataclass, field

import pytest

from relbench.analysis.results import Results, floors_asked
from relbench.analysis.summarise import check_rule, floor_title, summarise
from relbench.counts import Counts
from relbench.evaluation import compare, holm
from relbench.evaluation.comparison import Interval
from relbench.experiment import Data, FewShot, Net, Term, Training
from relbench.grid.tuning import Choice
from relbench.settings import changed
from relbench.studies.changes import with_values
from relbench.studies.record import StudyRecord
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study

STAGES = (Stage(terms=(Term(loss="triplet"),)),)
METRICS = {"recall@1": 0.0, "recall@2": 1.0}


@dataclass
class MadeUp:
    """A row that says for each rule what it is told to."""

    by_rule: dict
    counts: dict = field(default_factory=dict)  # by metric

    def metrics_at(self, rule):
        return self.by_rule.get(rule)

    def counts_at(self, rule, metric):
        return self.counts.get(metric) if rule == "last" else None


def run(**given):
    data = Data(name=given.pop("data", "cub200"), hold_out=False)
    return RunSpec(data=data, net=Net(), training=Training(log_test_metrics=True), stages=STAGES, **given)


def cell(name, **given):
    kept = {"part": "birds", "row": name, "column": "c", "published": 0.5, "run": f"cub200/{name}/8"}
    return Cell(**(kept | given))


def table(*pairs, more=(), runs=None):
    better = tuple((f"cub200/{first}/8", f"cub200/{second}/8") for first, second in pairs)
    return Study(
        name="made-up",
        title="Made up",
        source="nobody",
        notes=("A note.",),
        variant={"protocol": "paper"},
        runs={
            "cub200/a/8": run(),
            "cub200/b/8": run(),
            "cub200/c/8": run(note="Not the paper's."),
            **(runs or {}),
        },
        cells=(cell("a"), cell("b"), cell("c"), *more),
        claims=(Claim(text="a claim", better=better),) if better else (),
    )


def record(study=None, **given):
    changes = given.get("changes", {})
    study = with_values(study or table(), changes)
    return StudyRecord(
        **({"study": study, "changes": changes, "contents": {"cub200": "x"}, "seeds": (0, 1, 2)} | given)
    )


def results(values, **given):
    """From lists of Recall@1 by seed; None: not finished."""
    rows = {
        (f"cub200/{name}/8", seed): MadeUp({"last": (40, METRICS | {"recall@1": value})})
        for name, found in values.items()
        for seed, value in enumerate(found)
        if value is not None
    }
    return Results(rows, {}, given.get("choices", {}), given.get("unrelated_runs", 0))


def answer(values, *pairs):
    (claim,) = summarise(record(table(*pairs)), results(values), ("last",)).claims
    return claim


BETTER, WORSE, NOISY = [0.6, 0.61, 0.62], [0.5, 0.512, 0.52], [0.4, 0.55, 0.71]
A_LITTLE_WORSE = [0.55, 0.571, 0.594]  # than BETTER: p of 0.03 alone


@pytest.mark.parametrize(
    ("values", "pairs", "expected"),
    [
        ({"a": BETTER, "b": WORSE}, [("a", "b")], "holds"),
        ({"a": BETTER, "b": WORSE}, [("b", "a")], "does not"),
        ({"a": BETTER, "b": NOISY}, [("a", "b")], "not shown"),  # the interval holds zero
        ({"a": BETTER}, [("a", "b")], "not shown"),
        ({"a": [0.9], "b": [0.1]}, [("a", "b")], "not shown"),  # one seed says nothing about chance
        ({"a": [0.9, None, None], "b": [None, 0.1, 0.1]}, [("a", "b")], "not shown"),  # no seed in common
        ({"a": BETTER, "b": WORSE, "c": NOISY}, [("a", "b"), ("a", "c")], "not shown"),
        ({"a": BETTER, "b": WORSE, "c": BETTER}, [("a", "b"), ("b", "c")], "does not"),
        ({"a": BETTER, "b": WORSE, "c": WORSE}, [("a", "b"), ("a", "c")], "holds"),
        ({"a": BETTER, "b": A_LITTLE_WORSE}, [("b", "a")], "does not"),
        ({"a": BETTER, "b": A_LITTLE_WORSE, "c": NOISY}, [("b", "a"), ("a", "c")], "not shown"),  # Holm
        ({"a": [0.6, 0.7], "b": [0.5, 0.6]}, [("a", "b")], "not shown"),  # equal gains by chance: no spread
        ({"a": [0.1] * 3, "b": [0.0] * 3}, [("a", "b")], "not shown"),  # likewise, though their mean is rounded
    ],
)
def test_claims_are_answered_from_paired_seeds(values, pairs, expected):
    assert answer(values, *pairs).answer == expected


def test_of_a_single_seed_the_interval_over_classes_is_shown_and_decides_nothing():
    """Every class is better by far: that says something of these two networks, and nothing of new ones."""
    correct = {"a": (18, 17, 18, 19), "b": (8, 9, 8, 7)}
    found = results({name: [sum(counted) / 80] for name, counted in correct.items()})
    for name, counted in correct.items():
        made = Counts(groups=("c0", "c1", "c2", "c3"), trials=(20,) * 4, correct=counted)
        found.rows[f"cub200/{name}/8", 0].counts = {"recall@1": made}
    (claim,) = summarise(record(table(("a", "b")), seeds=(0,)), found, ("last",)).claims
    judged = compare(*([found.rows[f"cub200/{name}/8", 0].counts["recall@1"]] for name in "ab"))
    assert claim.answer == "not shown"
    assert (claim.difference.interval.low, claim.difference.p_value) == (None, None)
    assert claim.difference.of_networks == judged.over_classes
    assert claim.difference.of_networks.low > 0.3


def test_a_claim_is_about_new_classes_too_where_they_are_known():
    """Every seed gains, but all of it in one of twenty classes; without the counts, the seeds alone decide."""
    same, gains = (10,) * 20, [(18, *(10,) * 19), (19, *(10,) * 19), (20, *(10,) * 19)]
    found = results({"a": [sum(gain) / 400 for gain in gains], "b": [0.5] * 3})
    (without,) = summarise(record(table(("a", "b"))), found, ("last",)).claims
    for seed, gain in enumerate(gains):
        for name, correct in (("a", gain), ("b", same)):
            groups = tuple(f"c{at:02}" for at in range(20))
            made = Counts(groups=groups, trials=(20,) * 20, correct=correct)
            found.rows[f"cub200/{name}/8", seed].counts = {"recall@1": made}
    (known,) = summarise(record(table(("a", "b"))), found, ("last",)).claims
    assert (without.answer, known.answer) == ("holds", "not shown")
    assert (without.difference.over_groups, known.difference.over_groups) == (False, True)
    assert without.difference.interval.mean == pytest.approx(known.difference.interval.mean)
    judged = compare(*([found.rows[f"cub200/{name}/8", seed].counts["recall@1"] for seed in range(3)] for name in "ab"))
    assert (known.difference.interval, known.difference.p_value) == (judged.interval, judged.p_value)
    assert (known.difference.seeds, known.difference.family) == (3, 1)


def test_trials_that_are_not_the_same_are_compared_over_runs_alone():
    found = results({"a": BETTER, "b": WORSE})
    for name, group in (("a", "gull"), ("b", "tern")):
        for seed in range(3):
            made = Counts(groups=(group, "z"), trials=(50, 50), correct=(20, 30))
            found.rows[f"cub200/{name}/8", seed].counts = {"recall@1": made}
    (claim,) = summarise(record(table(("a", "b"))), found, ("last",)).claims
    assert (claim.answer, claim.difference.over_groups) == ("holds", False)


def few_shot_table(*claims):
    """Runs of two tasks, each with two metrics."""
    paths = [f"cub200/{shot}-shot/{name}" for shot in (1, 5) for name in "ab"]
    tasks = {path: FewShot(way=(5, 20), shot=int(path[7])) for path in paths}
    cells = [
        cell(path, run=path, column=f"{way}-way", metric=f"{way}way_{tasks[path].shot}shot")
        for path in paths
        for way in (5, 20)
    ]
    runs = {path: run(task=tasks[path]) for path in paths}
    return Study(name="episodes", title="Episodes", runs=runs, cells=tuple(cells), claims=claims)


def counted(*shares):
    """Counts of eight episodes of twenty queries, by how many are right on average, and their shares."""
    around = (-2, -1, -1, 0, 0, 1, 1, 2)
    made = [Counts(groups=tuple("abcdefgh"), trials=(20,) * 8, correct=tuple(n + at for at in around)) for n in shares]
    return [each.share for each in made], made


def episodes_found(study, gains):
    """Rows of three seeds: `a` of each metric right as often as `b`, and so much more by seed."""
    rows = {}
    for path, spec in study.items:
        for seed in range(3):
            metrics, counts = {}, {}
            for way in (5, 20):
                metric = f"{way}way_{spec.task.shot}shot"
                more = gains[metric][seed] if path.endswith("a") else 0
                (metrics[metric],), (counts[metric],) = counted(10 + more)
            rows[path, seed] = MadeUp({"last": (40, metrics)}, counts)
    return Results(rows)


GAINS = {"5way_1shot": (2, 2, 3), "20way_1shot": (-8, -7, -8), "5way_5shot": (0, 1, -1), "20way_5shot": (2, 3, 2)}


def test_a_claim_is_about_the_metric_that_its_key_names_or_else_the_primary_one_of_its_run():
    asked = {"": "5way", "#20way_1shot": "20way_1shot", "#5way_1shot": "5way"}
    claims = [Claim(text=end, better=((f"cub200/1-shot/a{end}", f"cub200/1-shot/b{end}"),)) for end in asked]
    claims += [Claim(text="five", better=(("cub200/5-shot/a", "cub200/5-shot/b"),))]
    study = few_shot_table(*claims)
    made = summarise(record(study), episodes_found(study, GAINS), ("last",))
    assert [claim.answer for claim in made.claims] == ["holds", "does not", "holds", "not shown"]
    expected = [sum(GAINS[metric]) / 60 for metric in ("5way_1shot", "20way_1shot", "5way_1shot", "5way_5shot")]
    assert [claim.difference.interval.mean for claim in made.claims] == pytest.approx(expected)
    assert all(claim.difference.over_groups for claim in made.claims)
    assert [task.shot for task in made.tasks] == [1, 5]


@pytest.mark.parametrize("key", ["cub200/1-shot/a#5way_5shot", "cub200/1-shot/c", "cub200/1-shot/a#recall@1"])
def test_a_claim_about_a_metric_that_has_no_cell_is_refused(key):
    with pytest.raises(ValueError, match="unknown cell of a claim"):
        few_shot_table(Claim(text="", better=((key, "cub200/1-shot/b"),)))


METRICS_OF = {shot: (f"5way_{shot}shot", f"20way_{shot}shot") for shot in (1, 5)}


def test_comparisons_of_a_family_are_corrected_together_and_others_alone():
    paths = [(f"cub200/{shot}-shot/a", f"cub200/{shot}-shot/b", METRICS_OF[shot]) for shot in (1, 5)]
    pairs = [(f"{one}#{metric}", f"{other}#{metric}") for one, other, metrics in paths for metric in metrics]
    family = [Claim(text="", better=(pair,), family="all") for pair in pairs]
    study = few_shot_table(Claim(text="alone", better=(pairs[3],)), *family)
    found = episodes_found(study, GAINS)
    alone, *judged = summarise(record(study), found, ("last",)).claims
    counts = {
        (shot, name, metric): [found.rows[f"cub200/{shot}-shot/{name}", seed].counts[metric] for seed in range(3)]
        for shot in (1, 5)
        for name in "ab"
        for metric in METRICS_OF[shot]
    }
    own = holm(
        [
            compare(counts[shot, "a", metric], counts[shot, "b", metric])
            for shot in (1, 5)
            for metric in METRICS_OF[shot]
        ]
    )
    assert [claim.difference.p_adjusted for claim in judged] == [each.p_adjusted for each in own]
    words = {"beats": "holds", "loses": "does not", "not shown to differ": "not shown"}
    assert [claim.answer for claim in judged] == [words[each.verdict] for each in own]
    assert {claim.difference.family for claim in judged} == {4}
    assert alone.difference.p_adjusted == alone.difference.p_value == judged[3].difference.p_value
    assert (alone.answer, judged[3].answer) == ("holds", "not shown")  # by the correction
    assert judged[1].answer == "does not"


def test_a_missing_run_eases_no_verdict_of_its_family():
    claims = [Claim(text=name, better=(("cub200/a/8", f"cub200/{name}/8"),), family="all") for name in "bc"]
    study = changed(table(), {"claims": tuple(claims)})
    with_all, without = (
        summarise(record(study), results(values), ("last",)).claims
        for values in ({"a": BETTER, "b": A_LITTLE_WORSE, "c": NOISY}, {"a": BETTER, "b": A_LITTLE_WORSE})
    )
    assert with_all[0].difference.p_adjusted == without[0].difference.p_adjusted > 0.05
    assert (without[1].difference, without[1].answer) == (None, "not shown")


def test_one_seed_has_a_difference_and_no_interval():
    found = answer({"a": [0.9], "b": [0.1]}, ("a", "b")).difference
    assert found.interval == Interval(pytest.approx(0.8))
    assert (found.seeds, found.p_value, found.p_adjusted) == (1, None, None)


def test_the_note_on_a_rate_names_the_metric_of_its_run():
    study = few_shot_table()
    choice = Choice(1e-5, {1e-5: 0.4}, ())
    found = Results({}, choices={"cub200/5-shot/a": choice})
    (note,) = [note for note in summarise(record(study), found, ("last",)).notes if "Learning rate" in note]
    assert "5-way 5-shot accuracy on validation images" in note


def test_an_answer_says_what_it_rests_on():
    found = answer({"a": BETTER, "b": WORSE, "c": NOISY}, ("a", "b"), ("b", "a"), ("a", "c"))
    assert found.detail == "3 comparisons: 1 as claimed, 1 the other way round, 1 not yet told apart"
    assert answer({}, ("a", "b")).detail == "1 comparison: 1 with too few runs"


def test_a_cell_has_the_mean_over_finished_seeds():
    made = summarise(record(table()), results({"a": [0.2, None, 0.4], "b": []}), ("last",))
    first, second, third = made.cells
    ours = first.ours["last"]
    assert (ours.values, ours.seeds, ours.steps) == ((0.2, 0.4), (0, 2), (40, 40))
    assert ours.interval.mean == pytest.approx(0.3)
    assert first.difference("last") == pytest.approx(-0.2)
    assert second.ours == {}
    assert third.note == "Not the paper's."


def test_seeds_that_were_not_asked_for_stay_out():
    made = summarise(record(seeds=(1,)), results({"a": [0.2, 0.3, 0.4]}), ("last",))
    assert made.cells[0].ours["last"].seeds == (1,)


def test_rules_that_a_row_cannot_tell_leave_a_cell_empty():
    made = summarise(record(table()), results({"a": [0.2]}), ("last", "validation", "test"))
    assert set(made.cells[0].ours) == {"last"}


def test_other_papers_numbers_stand_beside_ours_and_those_of_other_data_sets_do_not():
    others = (cell("rival", run=""), cell("far", run="", part="cars"))
    made = summarise(record(table(more=others)), results({}), ("last",))
    assert [cell.row for cell in made.cells] == ["a", "b", "c", "rival"]
    more = (*others, cell("d", run="cars196/d/8", part="cars"))
    cars = table(("a", "b"), more=more, runs={"cars196/d/8": run(data="cars196")})
    elsewhere = summarise(record(cars, contents={"cars196": ""}), results({}), ("last",))
    assert [cell.row for cell in elsewhere.cells] == ["far", "d"]
    assert elsewhere.claims == ()
    with pytest.raises(ValueError, match="neither methods nor cells"):
        summarise(record(cars, contents={"sop": ""}), results({}), ("last",))


def test_metrics_are_those_of_the_number():
    made = summarise(record(table(more=(cell("a", metric="recall@2", column="2"),))), results({"a": [0.2]}), ("last",))
    assert [cell.ours["last"].values for cell in made.cells if cell.row == "a"] == [(0.2,), (1.0,)]


def test_notes_tell_changes_choices_and_strangers():
    choice = Choice(1e-5, {1e-5: 0.4, 1e-4: 0.3}, (1e-3,))
    some = results({}, choices={"cub200/a/8": choice}, unrelated_runs=2)
    notes = summarise(record(table(), changes={"data.size": 128}), some, ("last",)).notes
    assert "A note." in notes
    assert any("data.size = 128" in note for note in notes)
    (rate,) = [note for note in notes if "Learning rate of cub200/a/8" in note]
    assert "1e-05, at the end of the range tried" in rate
    assert "40.0 at 1e-05, 30.0 at 0.0001, training failed at 0.001" in rate
    assert any(note.startswith("2 finished runs of this folder have other settings") for note in notes)


@pytest.mark.parametrize("changes", [{}, {"data.hold_out": True}])
def test_the_rule_of_validation_needs_such_classes(changes):
    held_out = bool(changes)
    for rule, refused in (("validation", not held_out), ("last", False), ("test", False)):
        if refused:
            with pytest.raises(ValueError, match=r"set data\.hold_out=true, or choose a protocol"):
                check_rule(record(changes=changes), (rule,))
        else:
            check_rule(record(changes=changes), (rule,))
    check_rule(record(), ("last", "validation", "test"))  # its cells are empty there


def test_rules_that_need_watched_test_classes_are_refused_without():
    unwatched = record(changes={"training.log_test_metrics": False, "data.hold_out": True})
    check_rule(unwatched, ("last", "validation", "test"))
    for rule in ("validation", "test"):
        with pytest.raises(ValueError, match="runs then record only the last step"):
            check_rule(unwatched, (rule,))


def test_a_table_is_shown_by_the_rule_that_its_trainings_follow():
    def followed(*rules):
        kept = {
            path: changed(run, {"training": Training(selection=rule), "data": Data(name="cub200")})
            for (path, run), rule in zip(table().items, rules, strict=True)
        }
        return record(changed(table(), {"runs": kept}))

    assert followed("validation", "validation", "last").study.selection == "last"
    chosen = followed("validation", "validation", "validation")
    assert chosen.study.selection == "validation"
    check_rule(chosen, ("validation",))
    for rule in ("last", "test"):
        with pytest.raises(ValueError, match="runs then record only the step that is best on validation images: leave"):
            check_rule(chosen, (rule,))


def test_floors_say_whose_classes_they_are_of_where_runs_have_several_sets():
    def titled(*spaces, of="train_classes"):
        runs = {f"cub200/{space}": changed(run(), {"data": Data(name="cub200", **{of: space})}) for space in spaces}
        study = Study(
            name="s", title="S", runs=runs, cells=(Cell(part="p", row="r", column="c", run=next(iter(runs))),)
        )
        made = StudyRecord(study=study, changes={}, contents={"cub200": ""}, seeds=(0,))
        ((asked, _),) = floors_asked(made).items()
        return floor_title(asked, [asked], made), made.data["cub200"].train_classes

    assert titled(100) == ("Caltech-UCSD Birds-200-2011", 100)
    assert titled(100, 50) == ("Caltech-UCSD Birds-200-2011, classes of cub200/50", 50)
    few = titled(5, 10, of="train_images_per_class")
    assert few == ("Caltech-UCSD Birds-200-2011, training images of cub200/10", None)


def test_floors_say_by_which_task_where_runs_have_several():
    """One pair of lines for each, by the first student's network of that task."""
    study = few_shot_table()
    runs = {
        path: changed(
            spec,
            {"net": Net(dim=64 + len(path) + spec.task.shot), "teacher": "" if path.endswith("a") else f"{path[:-1]}a"},
        )
        for path, spec in study.items
    }
    made = record(changed(study, {"runs": runs}))
    asked = floors_asked(made)
    titles = [floor_title(of, asked, made) for of in asked]
    assert titles == [f"Caltech-UCSD Birds-200-2011, shot = {shot}" for shot in (1, 5)]
    assert [floors[1].net for floors in asked.values()] == [runs[f"cub200/{shot}-shot/b"].net for shot in (1, 5)]
    assert [{floor.task for floor in floors} for floors in asked.values()] == [{task} for _, task in asked]


def test_a_cell_has_the_mean_interval_over_groups_where_all_seeds_have_one():
    found = results({"a": [0.2, 0.3, 0.4], "b": [0.2, 0.3, 0.4]})
    for seed, half in enumerate((0.01, 0.02, 0.06)):
        found.rows["cub200/a/8", seed].by_rule["last"][1]["recall@1_ci95"] = half
    found.rows["cub200/b/8", 0].by_rule["last"][1]["recall@1_ci95"] = 0.01
    printed = changed(table(), {"cells": (cell("a", published_interval=0.0082), cell("b"))})
    first, second = summarise(record(printed), found, ("last",)).cells
    assert (first.published_interval, first.ours["last"].over_groups) == (0.0082, pytest.approx(0.03))
    assert (second.published_interval, second.ours["last"].over_groups) == (None, None)
