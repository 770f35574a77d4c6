"""Which runs begin together: those that share what is computed once, as many as keep all slots busy to the end."""

from collections import Counter

import pytest

from relbench.experiment import Experiment, Net, Term, Training
from relbench.grid.order import Limits, Order
from relbench.grid.rehearsal import rehearsed
from relbench.settings import changed

METHODS = ("rkd_distance", "rkd_angle", "pkt", "hinton_kd")


def experiment(loss="triplet", seed=0, **settings):
    return Experiment(terms=(Term(loss=loss),), seed=seed, training=Training(steps=100), **settings)


def arms(seed):
    """A teacher, a student without a teacher, and four that it teaches."""
    teacher = experiment(seed=seed, net=Net(width=16))
    students = {loss: experiment(loss, seed, net=Net(width=8), teacher=teacher) for loss in METHODS}
    runs = {"teacher": teacher, "alone": experiment(seed=seed, net=Net(width=8)), **students}
    return {f"{name} {seed}": run for name, run in runs.items()}


def order_of(runs, **needed):
    return Order(runs, {name: needed.get(name, ()) for name in runs})


def sizes(rehearsal):
    """The number of cohorts of each size."""
    return Counter(len(cohort) for cohort in rehearsal.cohorts)


def same(names):
    return {name: experiment(net=Net(dim=number + 1)) for number, name in enumerate(names)}


ONE = Limits(slots=1)


def test_runs_that_share_all_that_is_computed_once_begin_together():
    runs = (
        same("abc")
        | {"other seed": experiment(seed=1)}
        | {"longer": changed(experiment(), {"training": Training(steps=101)})}
    )
    order = order_of(runs)
    assert [list(order.take(ONE, [])) for _ in range(4)] == [["a", "b", "c"], ["other seed"], ["longer"], []]
    assert not order


def test_runs_that_become_ready_join_those_that_wait_for_a_slot():
    order = order_of(same("abcd"), b=["first"], c=["first", "second"])
    order.finish("first")
    assert list(order.take(ONE, [])) == ["a", "d", "b"]
    assert not order.take(ONE, [])
    assert list(order.waiting) == ["c"]
    assert len(order) == 1
    order.finish("second")
    assert list(order.take(ONE, [])) == ["c"]


def test_a_run_that_is_dropped_never_begins():
    order = order_of(same("ab"), b=["a"])
    assert order.followers("a") == ["b"]
    order.drop("b")
    order.finish("a")
    assert order.followers("a") == []
    assert list(order.take(ONE, [])) == ["a"]
    assert not order


def test_runs_with_a_users_code_begin_alone():
    own = {
        name: Experiment(terms=(Term(loss=f"my:{name}", source=f"def {name}(student): return student.sum()"),))
        for name in "fg"
    }
    taught = {name: experiment(name, teacher=own["f"]) for name in METHODS[:2]}
    order = order_of(own | taught)
    assert [list(order.take(ONE, [])) for _ in range(4)] == [["f"], ["g"], [METHODS[0]], [METHODS[1]]]


def test_what_is_tried_again_begins_alone_and_first():
    order = order_of(same("abcd"))
    taken = order.take(Limits(1, most=2), [])
    order.again_apart(taken)
    assert len(order) == 4
    assert [list(order.take(ONE, [])) for _ in range(3)] == [["a"], ["b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("most", "begun"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [3, 2]), (5, [5]), (9, [5]), (None, [5])]
)
def test_no_more_than_asked_for_and_evenly(most, begun):
    order = order_of(same("abcde"))
    assert [len(order.take(Limits(1, most), [])) for _ in begun] == begun
    assert not order


@pytest.mark.parametrize(("room", "begun"), [(5, [5]), (3, [3, 2]), (2, [2, 2, 1]), (0, [1] * 5)])
def test_no_more_than_have_room(room, begun):
    """A run that has no room alone is made nevertheless: the estimate may be wrong."""
    order, limits = order_of(same("abcde")), Limits(1, fits=lambda runs: len(runs) <= room)
    assert [len(order.take(limits, [])) for _ in begun] == begun


@pytest.mark.parametrize(
    ("slots", "under_way", "begun"),
    [
        (2, [], 4),  # the other half is for the other slot
        (2, [8.0], 8),  # the other slot has just begun as many
        (2, [3.5], 6),
        (2, [0.1], 5),
        (4, [1.0, 1.0], 3),  # (8 + 2) / 4
    ],
)
def test_a_slot_takes_its_share_of_what_is_left(slots, under_way, begun):
    order = order_of(same("abcdefgh"))
    assert len(order.take(Limits(slots), under_way)) == begun


def test_no_slot_is_idle_for_the_sake_of_a_cohort():
    """Of two that may begin, each gets a slot, whatever waits for them."""
    order = order_of(
        same("ab") | {str(number): experiment(seed=number) for number in range(1, 9)},
        **{str(number): ["a"] for number in range(1, 9)},
    )
    assert [list(order.take(Limits(2), busy)) for busy in ([], [1.0])] == [["a"], ["b"]]


def test_seven_seeds_of_six_arms_on_two_slots():
    """Teachers with the students that have none, and each teacher's students; the same with any durations."""
    runs = {name: run for seed in range(7) for name, run in arms(seed).items()}
    shared, own = 1.0, {16: 2.0, 8: 1.0}
    whole = rehearsed(runs, Limits(2), lambda cohort: shared + sum(own[run.net.width] for run in cohort.values()))
    assert sizes(whole) == {2: 7, 4: 7}
    apart = rehearsed(
        runs, Limits(2, most=1), lambda cohort: shared + sum(own[run.net.width] for run in cohort.values())
    )
    assert sizes(apart) == {1: 42}
    work = 7 * (4.0 + 5.0)  # of all cohorts
    assert work / 2 <= whole.seconds <= work / 2 + 3
    assert apart.seconds >= 7 * (6 * shared + 7.0) / 2


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_every_run_begins_once_and_after_what_it_builds_on(slots, seeds):
    runs = {name: run for seed in range(seeds) for name, run in arms(seed).items()}
    rehearsal = rehearsed(runs, Limits(slots), lambda cohort: 1.0 + len(cohort))
    names = [name for cohort in rehearsal.cohorts for name in cohort]
    assert sorted(names) == sorted(runs)
    assert all(
        names.index(f"teacher {seed}") < names.index(f"{loss} {seed}") for seed in range(seeds) for loss in METHODS
    )


def test_a_rehearsal_by_hand():
    """Two slots: teacher and the other student at 2 s each, then two students a slot at 3 s."""
    rehearsal = rehearsed(arms(0), Limits(2), lambda cohort: 1.0 + len(cohort))
    assert [list(cohort) for cohort in rehearsal.cohorts] == [
        ["teacher 0"],
        ["alone 0"],
        ["rkd_distance 0", "rkd_angle 0"],
        ["pkt 0", "hinton_kd 0"],
    ]
    assert rehearsal.seconds == 5.0


def test_what_is_finished_is_not_waited_for_in_a_rehearsal():
    runs = {name: run for name, run in arms(0).items() if name != "teacher 0"}
    assert sizes(rehearsed(runs, ONE, lambda _: 1.0)) == {1: 1, 4: 1}


def test_a_longer_run_waits_for_the_one_that_it_goes_on_with():
    longer = changed(arms(0)["teacher 0"], {"training": Training(steps=200)})
    runs = {"longer": longer} | arms(0)
    begun_by = {longer.fingerprint: runs["teacher 0"].fingerprint}
    names = [[*cohort] for cohort in rehearsed(runs, ONE, lambda _: 1.0, begun_by).cohorts]
    assert names[0] == ["teacher 0", "alone 0"]
    assert ["longer"] in names[1:]
    assert [*rehearsed(runs, ONE, lambda _: 1.0).cohorts[0]] == ["longer"]


def test_a_run_that_looks_like_another_is_rehearsed_too():
    """Its learning rate is not known yet."""
    runs = arms(0) | {"a copy": arms(0)["teacher 0"]}
    rehearsal = rehearsed(runs, ONE, lambda _: 1.0)
    assert sorted(name for cohort in rehearsal.cohorts for name in cohort) == sorted(runs)


def test_the_room_of_many_runs_is_found_in_few_looks():
    """Each look builds the losses of all these runs."""
    looks = []

    def fits(runs):
        looks.append(len(runs))
        return len(runs) <= 5

    assert Limits(slots=1, fits=fits).size(range(80), share=80) == 5
    assert len(looks) <= 7
