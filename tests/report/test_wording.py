"""Cells and sentences: right numbers, and true for every outcome."""

import dataclasses
from collections.abc import Callable

import pytest

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.experiment import Training
from relbench.plain_text import listed, many, p_value, percent, signed
from relbench.report.headline import gap, headline
from relbench.report.notes import notes, pair_note
from relbench.report.wording import bounds_cell, mean_cell, meanings, metric_cell, metric_title, verdict
from relbench.results.records import Row
from relbench.settings import changed

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("interval", "cell"),
    [
        (Interval(0.523, 0.512, 0.534), "52.3 ± 1.1"),
        (Interval(0.523, 0.510, 0.539), "52.3 [51.0, 53.9]"),
        (Interval(0.523), "52.3"),
        (Interval(1.0, 1.0, 1.0), "100.0 ± 0.0"),
        (Interval(0.01, -0.02, 0.05), f"1.0 [{MINUS}2.0, 5.0]"),
    ],
)
def test_a_mean_shows_its_interval_in_percent(interval: Interval, cell: str) -> None:
    assert mean_cell(interval) == cell


def test_half_an_interval_has_none_of_its_own() -> None:
    interval = Interval(0.033, 0.024, 0.042)
    assert (metric_title("5way_1shot"), metric_cell("5way_1shot", interval)) == (
        "5-way 1-shot accuracy, %",
        "3.3 ± 0.9",
    )
    half = "5way_1shot_ci95"
    assert (metric_title(half), metric_cell(half, interval)) == ("5-way 1-shot ± 95 % over episodes, points", "3.3")


def test_what_not_every_reader_knows_is_told_in_one_sentence() -> None:
    assert meanings(["recall@1", "accuracy"]) == []
    (words,) = meanings(["5way_1shot", "5way_1shot_ci95", "20way_1shot_ci95", "calibration_error"])
    assert words.startswith("Calibration error: the expected calibration error over 15 bins")
    halves = (
        "5-way 1-shot ± 95 % over episodes and 20-way 1-shot ± 95 % over episodes: half of the interval of a single"
    )
    assert f". {halves} network" in words


def test_plurals() -> None:
    assert [many(noun) for noun in ("seed", "class", "query")] == ["seeds", "classes", "queries"]


def test_bounds_have_signs_and_one_seed_has_none() -> None:
    assert bounds_cell(Interval(0.0, -0.0123, 0.0345)) == f"[{MINUS}1.2, +3.5]"
    assert bounds_cell(Interval(0.02)) == "one seed"


def test_zero_is_never_negative() -> None:
    assert percent(-0.00001) == "0.0"
    assert signed(-0.00001) == "+0.0"


def test_gaps_name_the_side() -> None:
    assert gap(0.049) == "4.9 points above"
    assert gap(-0.014) == "1.4 points below"
    assert gap(-0.0004) == "within 0.05 points of"


def test_words_are_joined() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def judged(method: Method, difference: float, word: str, *, mean: float = 0.474) -> Method:
    """A method with another outcome: that far from a teacher of the given mean."""
    interval = Interval(difference)
    comparison = Comparison(
        difference=difference,
        interval=interval,
        over_classes=interval,
        over_seeds=interval,
        seeds=3,
        verdict=word,
        p_value=0.01,
        p_over_classes=0.01,
        p_over_seeds=0.01,
        p_adjusted=0.01,
    )
    metrics = {**method.metrics, "recall@1": Interval(mean + difference)}
    return dataclasses.replace(method, metrics=metrics, against_teacher=comparison)


def with_outcomes(summary: Summary, outcomes: dict[str, tuple[float, str]]) -> Summary:
    """Only the teacher and the named methods, with these outcomes; the teacher has 47.4 %."""
    teacher = summary.methods[0]
    teacher = dataclasses.replace(teacher, metrics={**teacher.metrics, "recall@1": Interval(0.474)})
    methods = {method.label: method for method in summary.methods}
    judged_methods = [judged(methods[label], *outcome) for label, outcome in outcomes.items()]
    return summary.replaced(entries=(), methods=(teacher, *judged_methods))


CONTROL = "teacher's recipe, student's budget"


def test_headline_of_a_winner_and_a_stronger_control(study: Summary) -> None:
    outcomes = {"triplet": (-0.002, "not shown to differ"), "rkd-da": (0.049, "beats"), CONTROL: (0.106, "beats")}
    assert headline(with_outcomes(study, outcomes)) == (
        "rkd-da (conv4-8/32, 3,000 steps) beats its teacher (conv4-16/128, 1,000 steps) by 4.9 points of Recall@1 "
        "(52.3 % against 47.4 %, 3 seeds). 1 of 2 students beats the teacher. "
        "rkd-da is 5.1 points above the student trained without a teacher, triplet (47.2 %). "
        f"But the control “{CONTROL}” (conv4-16/128, 3,000 steps) reaches 58.0 %: it beats the teacher by 10.6 points, "
        "and is 5.7 points above rkd-da."
    )


def test_headline_where_no_student_wins(study: Summary) -> None:
    outcomes = {"triplet": (-0.03, "loses"), "rkd-d": (0.004, "not shown to differ"), CONTROL: (-0.01, "loses")}
    assert headline(with_outcomes(study, outcomes)) == (
        "No student is shown to beat the teacher (conv4-16/128, 1,000 steps), which reaches 47.4 % Recall@1 (3 seeds); "
        "the best, rkd-d (conv4-8/32, 3,000 steps), reaches 47.8 % Recall@1 (3 seeds) "
        "and is not shown to differ from the teacher (0.4 points above it, p = 0.010). "
        "rkd-d is 3.4 points above the student trained without a teacher, triplet (44.4 %). "
        f"The control “{CONTROL}” (conv4-16/128, 3,000 steps) reaches 46.4 %: it loses to the teacher by 1.0 points, "
        "and is 1.4 points below rkd-d."
    )


def test_headline_says_that_a_gain_over_no_teacher_is_not_shown(study: Summary) -> None:
    """As the test of the two decides, not their means; or that nothing was tested."""
    outcomes = {"triplet": (-0.03, "loses"), "rkd-d": (0.004, "not shown to differ")}
    shown = with_outcomes(study, outcomes)
    (tested,) = (pair for pair in study.pairs if {pair.label, pair.other} == {"rkd-d", "triplet"})

    def gain(verdict: str, **known: object) -> str:
        comparison = dataclasses.replace(tested.comparison, verdict=verdict, **known)
        pair = dataclasses.replace(tested, comparison=comparison)
        return headline(shown.replaced(pairs=(pair,))).split("trained without a teacher, ")[1]

    assert gain("beats") == "triplet (44.4 %)."
    assert gain("not shown to differ", p_adjusted=0.2, family=3) == (
        "triplet (44.4 %): not shown to differ (Holm p = 0.200)."
    )
    nothing = dict.fromkeys(("p_value", "p_adjusted", "p_over_seeds", "freedom", "detectable"))
    alone = Interval(tested.comparison.difference)
    assert gain("no verdict", **nothing, seeds=1, interval=alone, over_seeds=alone, parts=()) == (
        "triplet (44.4 %): no verdict (1 seed)."
    )
    assert headline(shown.replaced(pairs=())).endswith("triplet (44.4 %): a difference that is not tested.")


def test_headline_credits_a_winner_not_a_lucky_mean(study: Summary) -> None:
    outcomes = {"rkd-d": (0.02, "beats"), "rkd-a": (0.05, "not shown to differ")}
    assert headline(with_outcomes(study, outcomes)).startswith("rkd-d (conv4-8/32, 3,000 steps) beats its teacher")


def test_headline_does_not_compare_an_undistilled_winner_with_itself(study: Summary) -> None:
    outcomes = {"triplet": (0.05, "beats"), "rkd-d": (0.02, "beats")}
    text = headline(with_outcomes(study, outcomes))
    assert "trained without a teacher" not in text
    assert "2 of 2 students beat the teacher." in text


def test_headline_of_one_student_counts_no_students(study: Summary) -> None:
    assert "students" not in headline(with_outcomes(study, {"rkd-d": (0.02, "beats")}))


def test_headline_of_a_teacher_alone(study: Summary) -> None:
    assert headline(with_outcomes(study, {})) == (
        "teacher (conv4-16/128, 1,000 steps) reaches 47.4 % Recall@1 (3 seeds); no student was compared with it."
    )


def test_notes_say_how_to_read_the_table(study: Summary) -> None:
    text = "\n".join(notes(study))
    assert "Checkpoint that counts: last step." in text
    assert "3 seeds (0, 1, 2)" in text
    assert (
        "Difference: Recall@1 minus the teacher's, with its 95 % interval over new training runs and new test" in text
    )
    assert "Detectable: the smallest true difference that would be shown with probability 0.8" in text
    assert text.count("Student's t") == 1
    assert (
        "Verdict: beats or loses where a test over new training runs and new test classes at once, as crossed random "
        "factors, finds p < 0.05 (Cochran's critical value). Not shown to differ is no proof of equality." in text
    )
    assert "480 query images of 40 test classes, hash 5f0c9d1e77aa4b32" in text
    assert notes(study)[-1] == study.notes[0]
    assert "Mixed" not in text


def test_one_seed_is_said(make_summary: Callable[..., Summary]) -> None:
    text = "\n".join(notes(make_summary(seeds=(7,))))
    assert "1 seed (7): no intervals over new training runs, which may give other values, and no verdict." in text
    assert "Detectable" not in text
    assert "Holm" not in text
    assert "erdict: " not in text
    assert "Student's t" not in text


def test_a_verdict_says_its_p(study: Summary, make_summary: Callable[..., Summary]) -> None:
    assert verdict(study.methods[4]) == "beats the teacher (Holm p = 0.002)"
    assert verdict(study.methods[5]) == "beats the teacher (p = 0.001)"  # a control, judged alone
    assert verdict(study.methods[1]) == "not shown to differ (Holm p = 0.600)"
    assert verdict(make_summary(seeds=(7,)).methods[4]) == "no verdict (1 seed)"
    assert verdict(study.methods[0]) == "\N{EN DASH}"


def test_p_has_the_digits_that_a_decision_needs() -> None:
    values = (0.0, 0.0009, 0.001, 0.0494, 0.0497, 0.05, 0.0524, 1.0)
    words = ["p < 0.001", "p < 0.001", "p = 0.001", "p = 0.049", "p < 0.05", "p = 0.050", "p = 0.052", "p = 1.000"]
    assert [p_value(value) for value in values] == words


def test_one_seed_beats_nobody(study: Summary, make_summary: Callable[..., Summary]) -> None:
    said = headline(make_summary(seeds=(7,)))
    assert "beat" not in said
    assert "its teacher (conv4-16/128, 1,000 steps): no verdict, since a single seed says nothing about new" in said
    assert "(1 seed, no verdict)" in said  # of the control
    assert "1 seed" not in headline(study)


def test_a_verdict_on_one_seed_among_others_is_said(study: Summary, make_summary: Callable[..., Summary]) -> None:
    alone = make_summary(seeds=(0,)).methods[2]
    mixed = study.replaced(entries=(), methods=(*study.methods[:2], alone, *study.methods[3:]))
    assert headline(mixed).endswith(" No verdict on rkd-d: a single seed.")
    assert verdict(mixed.methods[2]) == "no verdict (1 seed)"


def lost_by_correction(interval: Interval, *, p: float, adjusted: float, family: int) -> Comparison:
    """A comparison that would have a verdict if it were judged alone."""
    return Comparison(
        difference=interval.mean,
        interval=interval,
        over_classes=interval,
        over_seeds=interval,
        seeds=3,
        verdict="not shown to differ",
        p_value=p,
        p_over_classes=p,
        p_over_seeds=p,
        p_adjusted=adjusted,
        family=family,
    )


def test_the_correction_is_said_with_what_it_takes_back(study: Summary) -> None:
    corrected = (
        "Verdicts are corrected for 4 students (Holm, p < 0.05); controls are judged alone. "
        "Each interval is 95 %, uncorrected; table.csv has every p."
    )
    assert corrected in notes(study)
    assert "not after the correction" not in "\n".join(notes(study))
    judged = lost_by_correction(Interval(0.03, 0.01, 0.05), p=0.031, adjusted=0.062, family=4)
    lost = dataclasses.replace(study.methods[3], against_teacher=judged)
    less = study.replaced(entries=(), methods=(*study.methods[:3], lost, *study.methods[4:]))
    said = "With a verdict if judged alone, but not after the correction: rkd-a (p = 0.031, Holm p = 0.062)."
    assert said in notes(less)


def test_that_few_seeds_mislead_more_often_is_said(study: Summary, make_summary: Callable[..., Summary]) -> None:
    said = "With fewer than four seeds, more than 5 % of such tables have a false verdict"
    assert said in "\n".join(notes(study))
    assert said not in "\n".join(notes(make_summary(seeds=(0, 1, 2, 3))))
    assert said not in "\n".join(notes(make_summary(seeds=(0,))))


def test_one_student_needs_no_correction(study: Summary) -> None:
    text = "\n".join(notes(with_outcomes(study, {"rkd-d": (0.02, "beats"), CONTROL: (0.05, "beats")})))
    assert "orrect" not in text


def edited(summary: Summary, label: str, edit: Callable[[Row], Row]) -> Summary:
    """The summary with one method's runs changed."""
    methods = tuple(
        dataclasses.replace(method, rows=tuple(map(edit, method.rows))) if method.label == label else method
        for method in summary.methods
    )
    return summary.replaced(entries=(), methods=methods)


def test_another_selection_is_said_with_its_methods(study: Summary) -> None:
    def by_validation(row: Row) -> Row:
        training = changed(row.experiment.training, {"selection": "validation"})
        assert isinstance(training, Training)
        return row.model_copy(update={"experiment": row.experiment.model_copy(update={"training": training})})

    first = notes(edited(study, "rkd-d", by_validation))[0]
    assert first.endswith("; best Recall@1 on validation images (rkd-d).")


def test_the_settings_that_a_table_must_state_are_there(study: Summary) -> None:
    text = "\n".join(notes(study))
    assert "Initial weights: random. Batch: 128 images, 5 per class." in text
    assert "Data: glyphs, 28 px (distortion 1), 480 query images" in text
    assert "Loss shared by students: triplet." in text


def test_a_loss_that_most_students_share_is_told_with_who_lacks_it(many: Summary, study: Summary) -> None:
    assert "Loss shared by students: triplet." in notes(many)  # that of a second stage counts as well

    def alone(row: Row) -> Row:
        own = changed(row.experiment, {"terms": tuple(t for t in row.experiment.terms if t.loss != "triplet")})
        return row.model_copy(update={"experiment": own})

    assert "Loss shared by students: triplet (only triplet, rkd-d and rkd-a)." in notes(edited(study, "rkd-da", alone))
    assert "share" not in "\n".join(notes(with_outcomes(study, {"rkd-d": (0.02, "beats")})))


def test_the_headline_speaks_of_the_users_loss_first(study: Summary) -> None:
    """Of its distance to the best of the study's own students, however good the other losses of the user are."""
    both = study.replaced(added_losses=("rkd-d", "triplet"))
    first, second, *_ = headline(both).split("triplet (conv4")
    assert first == ""
    assert second.startswith("-8/32, 3,000 steps) reaches ")
    assert headline(both).index("rkd-d (conv4-8/32") < headline(both).index("rkd-da (conv4-8/32")
    assert "points below the best of the study's own students, rkd-da: loses (Holm p = 0.002)." in headline(both)
    assert "study itself" not in headline(study)


def test_students_that_differ_in_more_than_their_loss_are_said(study: Summary) -> None:
    unlike = [note for note in notes(study) if note.startswith("Students differ in more than their loss: ")]
    assert [note.split(": ", 1)[1] for note in unlike] == [
        "net.unit_length: true (triplet, rkd-d and rkd-a); false (rkd-da).",
        "training.learning_rate: 0.001 (triplet); 0.003 (rkd-d, rkd-a and rkd-da).",
    ]
    fair = study.replaced(entries=(), methods=(study.methods[0], *study.methods[2:4], study.methods[5]))
    assert "more than their loss" not in "\n".join(notes(fair))


def test_a_student_that_is_the_teachers_own_network_is_not_held_against_the_others(study: Summary) -> None:
    plain, distilled = study.methods[1], study.methods[2]

    def itself(row: Row) -> Row:
        teacher = row.experiment.teacher
        assert teacher
        own = changed(row.experiment, {"net": teacher.net, "training": teacher.training})
        return row.model_copy(update={"experiment": own})

    own = dataclasses.replace(distilled, label="itself", rows=tuple(map(itself, distilled.rows)))
    summary = study.replaced(entries=(), methods=(study.methods[0], *study.methods[2:4], own))
    assert "more than their loss" not in "\n".join(notes(summary))
    assert plain.row.experiment.net != own.row.experiment.net


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"versions": {"torch": "2.7.0", "numpy": "2.1.0"}}, "Mixed: torch: 2.6.0 (teacher, "),
        ({"versions": {"torch": "2.6.0"}}, "absent (rkd-d)"),
        ({"device": "Other"}, "Mixed: device: Some Processor @ 2.5 GHz (teacher, "),
        ({"git_commit": None}, "no git checkout (rkd-d)"),
    ],
)
def test_runs_from_different_circumstances_are_said(study: Summary, values: dict[str, object], said: str) -> None:
    def moved(row: Row) -> Row:
        return row.model_copy(update={"machine": row.machine.model_copy(update=values)})

    mixed = [note for note in notes(edited(study, "rkd-d", moved)) if note.startswith("Mixed")]
    assert len(mixed) == 1
    assert said in mixed[0]


def test_runs_that_several_devices_shared_are_said(study: Summary) -> None:
    def shared(row: Row) -> Row:
        return row.model_copy(update={"devices": 2})

    mixed = [note for note in notes(edited(study, "rkd-d", shared)) if "devices" in note]
    assert len(mixed) == 1
    assert mixed[0].startswith("Mixed: devices of a run: 1 device (teacher, ")
    assert "2 devices (rkd-d)" in mixed[0]
    methods = tuple(dataclasses.replace(method, rows=tuple(map(shared, method.rows))) for method in study.methods)
    every = [note for note in notes(study.replaced(entries=(), methods=methods)) if "devices" in note]
    assert every == ["Each run was shared by 2 devices: as by one, but for rounding."]
    assert not [note for note in notes(study) if "devices" in note]


def test_missing_runs_are_said(study: Summary) -> None:
    methods = tuple(
        dataclasses.replace(method, rows=method.rows[:2]) if method.label in {"rkd-d", "rkd-a"} else method
        for method in study.methods
    )
    text = "\n".join(notes(study.replaced(entries=(), methods=methods)))
    assert "2 to 3 seeds (0, 1, 2)" in text
    assert f"Unequal seeds: seed 2: only teacher, triplet, rkd-da and {CONTROL}." in text
    assert "Unequal" not in "\n".join(notes(study))


def test_different_data_are_said(study: Summary) -> None:
    other = edited(study, "rkd-d", lambda row: row.model_copy(update={"data_hash": "feed"}))
    assert any(note.startswith("Mixed: data: ") and "glyphs feed (rkd-d)" in note for note in notes(other))


def with_seed(row: Row, seed: int) -> Row:
    return row.model_copy(update={"experiment": changed(row.experiment, {"seed": seed})})


def test_long_lists_name_the_exception(many: Summary) -> None:
    assert "Students differ in more than their loss: net.unit_length: false (rkd-da); true (all others)." in notes(many)


def test_all_others_is_not_said_where_a_method_stands_on_both_sides(many: Summary) -> None:
    first, second, *rest = many.methods
    rows = (second.row, second.row.model_copy(update={"data_hash": "feed"}))
    mixed = many.replaced(entries=(), methods=(first, dataclasses.replace(second, rows=rows), *rest))
    (note,) = [note for note in notes(mixed) if note.startswith("Mixed: data")]
    assert all(method.label in note for method in many.methods)


def test_a_seed_that_few_miss_is_told_by_them(many: Summary) -> None:
    first, *others = many.methods
    moved = dataclasses.replace(first, rows=(with_seed(first.row, 5),))
    text = "\n".join(notes(many.replaced(entries=(), methods=(moved, *others))))
    assert "Unequal seeds: seed 5: only teacher; seed 0: all but teacher." in text


def test_what_is_trained_in_stages_is_said(many: Summary, study: Summary) -> None:
    assert (
        "Trained in stages: fitnet-2-stages (1,500 + 1,500). Their steps are summed over stages; training curves, "
        "times and the step that counts are those of the last."
    ) in notes(many)
    assert not any(note.startswith("Trained in stages") for note in notes(study))


def test_stages_that_add_up_to_the_steps_of_the_others_are_no_difference(many: Summary) -> None:
    assert not any("more than their loss: training.steps" in note for note in notes(many))
    longer = edited(many, "fitnet-2-stages", lambda row: with_steps(row, 1501))
    assert (
        "Students differ in more than their loss: training.steps: 3001 (fitnet-2-stages); 3000 (all others)."
        in notes(longer)
    )


def with_steps(row: Row, steps: int) -> Row:
    training = changed(row.experiment.training, {"steps": steps})
    return row.model_copy(update={"experiment": changed(row.experiment, {"training": training})})


def test_a_student_whose_first_stage_had_a_teacher_is_not_said_to_have_had_none(many: Summary) -> None:
    """Though its last stage had none, and it is better than triplet."""
    kept = [method for method in many.methods if method.label in ("teacher", "triplet", "rkd-da", "fitnet-2-stages")]
    said = headline(many.replaced(entries=(), methods=tuple(kept), pairs=()))
    assert "the student trained without a teacher, triplet (" in said


def test_pairs_are_explained_with_what_the_correction_takes_back(study: Summary) -> None:
    note = pair_note(study)
    assert "paired by seed, over the same query images" in note
    assert "corrected for these 3 comparisons (Holm, p < 0.05). How many seeds? 3 seeds can show" in note
    assert "corrected" not in pair_note(study.replaced(pairs=study.pairs[:1]))
    back = lost_by_correction(Interval(0.01, 0.001, 0.019), p=0.03, adjusted=0.06, family=3)
    taken = (dataclasses.replace(study.pairs[0], comparison=back), *study.pairs[1:])
    assert "not after the correction: rkd-d against triplet (p = 0.030, Holm p = 0.060)." in pair_note(
        study.replaced(pairs=taken)
    )


def test_a_teacher_that_is_no_better_than_raw_pixels_is_said(floored: Summary) -> None:
    """On a user's images the teacher had 38.8 %, raw pixels 39.2 %, and nothing showed it."""
    assert "floor" not in headline(floored)
    pixels, network = floored.all_floors
    higher = dataclasses.replace(pixels, metrics={**pixels.metrics, "recall@1": Interval(0.6)})
    said = headline(floored.replaced(floors={"Glyphs": (higher, network)}))
    assert "%) is no better than the floor: raw pixels (60.0 %)." in said
