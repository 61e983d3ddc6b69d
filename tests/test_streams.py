"""Random numbers by name: nothing that is added, removed or moved changes another's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdkit import read_model, simulate
from sdkit.experiment import Draws, sample
from sdkit.inputs import Inputs, trajectories
from sdkit.parameters import Parameters, read_parameters
from sdkit.streams import MOST, Points, generator, mixed, words
from tests.small import experiment, model

NAMES = ["constant a", "constant b", "constant c"]


@pytest.mark.parametrize("shuffled", [(), NAMES])
def test_points_fill_each_range_evenly_from_the_first_on(shuffled):
    points = Points(5, NAMES, shuffled).rows(0, 2**13)
    for k in range(14):
        for column in points[: 2**k].T:
            assert sorted(np.floor(column * 2**k).astype(int)) == list(range(2**k))


@pytest.mark.parametrize("shuffled", [(), NAMES])
def test_points_are_the_same_however_cut_and_inside_the_cube(shuffled):
    points = Points(5, NAMES, shuffled)
    whole = points.rows(0, 5000)
    for low, high in ((0, 1), (7, 1024), (1000, 1030), (1024, 4096), (4999, 5000), (12, 12)):
        assert np.array_equal(points.rows(low, high), whole[low:high])
    last = points.rows(MOST - 3, MOST)
    assert len(np.unique(last)) == last.size
    assert min(whole.min(), last.min()) > 0
    assert max(whole.max(), last.max()) < 1


def test_seed_name_and_kind_decide_a_column():
    one = Points(5, NAMES).rows(0, 64)
    assert np.array_equal(Points(5, NAMES[::-1]).rows(0, 64)[:, ::-1], one)
    assert np.array_equal(Points(5, NAMES[1:]).rows(0, 64), one[:, 1:])
    for other in (
        Points(6, NAMES).rows(0, 64),
        Points(5, NAMES, NAMES).rows(0, 64),
        Points(5, [name + "s" for name in NAMES]).rows(0, 64),
    ):
        assert not np.isclose(one[:, :, None], other[:, None, :]).any(axis=0).any()
    with pytest.raises(ValueError, match="a name of its own"):
        Points(5, ["a", "b", "a"])


def test_words_are_the_same_everywhere():
    """SHAKE-256 of the text, by any other library: eight bytes, the lowest first."""
    assert words(1, "a", "net", 2).tolist() == [8517737027789674131, 18288141276101660905]


def test_scrambled_numbers_are_those_of_splitmix64():
    """Its first two from the seed 0, of which the second begins where its increment leaves it."""
    found = mixed(np.array([0, 0x9E3779B97F4A7C15], dtype=np.uint64))
    assert found.tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


@pytest.mark.parametrize(
    ("shuffled", "wanted"),
    [
        ((), [3375795684068673, 5021615123718247, 513659443898171, 5982081212752075,
              8034555515856599]),
        (["a"], [8527080263802831, 2066573722157793, 3258521416868403, 7339046187856845,
                 7176656675466351]),
    ],
)  # fmt: skip
def test_points_stay_those_that_recorded_runs_drew(shuffled, wanted):
    """In the table, at its end and beyond it; other points would be no less random."""
    points = Points(1, ["a"], shuffled)
    found = [points.rows(i, i + 1).item() * 2**53 for i in (0, 1, 1023, 5000, 2**29 + 7)]
    assert found == wanted


@pytest.mark.parametrize("shuffled", [(), ["a"]])
@pytest.mark.parametrize("bits", [0, 2**64 - 1])
def test_the_outermost_words_are_inside_the_cube(monkeypatch, shuffled, bits):
    monkeypatch.setattr(
        "sdkit.streams.words", lambda seed, name, use, n: np.full(n, bits, dtype=np.uint64)
    )
    points = Points(1, ["a"], shuffled).rows(0, 1024)
    assert 0 < points.min() <= points.max() < 1


def test_seed_name_and_use_decide_a_generator():
    found = [generator(*of).random() for of in ((1, "a", "x"), (2, "a", "x"), (1, "b", "x"),
                                                (1, "a", "y"), (1, "a", "x"))]  # fmt: skip
    assert len(set(found)) == 4
    assert found[0] == found[4]


def test_shuffled_columns_are_no_more_alike_than_chance():
    names = [f"x{i}" for i in range(100)]
    apart = np.corrcoef(Points(2, names, names).rows(0, 4096).T) - np.eye(100)
    # 4,950 pairs with a standard error of 1/64; 5 of them come once in 350 such tables.
    assert np.abs(apart).max() < 5 / 64
    # Correlations of Latin hypercubes have that very spread, here to 5 %.
    assert apart[np.triu_indices(100, 1)].std() == pytest.approx(1 / 64, rel=0.05)


# -- draws -------------------------------------------------------------------------------


def same(one, other) -> None:
    """What both tables hold is the same, bit for bit."""
    shared = [name for name in one.columns if name in other.columns]
    assert len(shared) >= 5
    for name in shared:
        assert np.array_equal(one[name], other[name]), name


def test_a_prior_added_removed_or_moved_leaves_all_other_draws(parameters):
    whole = sample(parameters, 64, 7)
    for i, item in enumerate(parameters.items):
        if not item.distribution:
            continue
        less = Parameters((*parameters.items[:i], *parameters.items[i + 1 :]))
        moved = Parameters((item, *less.items))
        assert item.name not in sample(less, 64, 7)
        same(sample(less, 64, 7), whole)
        same(sample(moved, 64, 7), whole)
        # The same under another prior: its points stay.
        if item.distribution == "uniform":
            wide = replace(item, high=item.low + 2 * (item.high - item.low))
            found = sample(Parameters((*less.items, wide)), 64, 7)
            same(found.drop(columns=item.name), whole)
            stretched = item.low + 2 * (whole[item.name] - item.low)
            assert found[item.name].to_numpy() == pytest.approx(stretched.to_numpy(), rel=1e-12)


def test_rows_of_either_file_may_be_moved(project, parameters):
    """parameters.csv upside down, and the equations of the model in another order."""
    folder = project / "models" / "sir"
    csv = folder / "parameters.csv"
    lines = csv.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("name"))
    csv.write_text("\n".join([*lines[: first + 1], *reversed(lines[first + 1 :])]) + "\n")
    whole = sample(parameters, 64, 7)
    same(sample(read_parameters(read_model(folder)), 64, 7), whole)
    mdl = folder / "sir.mdl"
    entries = mdl.read_text().split("|")
    one, other = (
        next(i for i, entry in enumerate(entries) if entry.strip().startswith(f"{name}="))
        for name in ("infectivity", "vaccine efficacy")
    )
    entries[one], entries[other] = entries[other], entries[one]
    mdl.write_text("|".join(entries))
    moved = read_parameters(read_model(folder))
    assert moved.names != parameters.names
    same(sample(moved, 64, 7), whole)
    spelt = Parameters(
        tuple(replace(p, name=p.name.upper().replace(" ", "_")) for p in moved.items)
    )
    found = sample(spelt, 64, 7)
    for name in whole:
        assert np.array_equal(found[name.upper().replace(" ", "_")], whole[name])


def test_the_first_draws_are_those_of_fewer(parameters):
    assert sample(parameters, 2048, 7).iloc[:64].equals(sample(parameters, 64, 7))
    assert Draws(parameters, 2**30, 7).chunk(60, 70).equals(sample(parameters, 128, 7)[60:70])


def test_switches_are_stratified_by_weight():
    """A third of 256 is no whole number: counts are off by less than two, and right over seeds."""
    from sdkit.parameters import Parameter

    switch = Parameter("s", "structural", 0, (0, 2), "", 0, 2, "choice", (1 / 3,) * 3)
    counts = np.array(
        [sample(Parameters((switch,)), 256, seed)["s"].value_counts().sort_index()
         for seed in range(200)]
    )  # fmt: skip
    assert np.abs(counts - 256 / 3).max() < 2
    # A count's standard deviation is below one, that of a mean of 200 below 0.071.
    assert np.abs(counts.mean(axis=0) - 256 / 3).max() < 4 * 0.071


# -- designs -----------------------------------------------------------------------------


def test_inputs_keep_their_points(parameters):
    item = next(p for p in parameters.sampled if p.role != "structural")
    whole = Inputs(parameters, "priors")
    less = Inputs(parameters, "priors", held=[item.name])
    at = [whole.names.index(name) for name in less.names]
    for shuffled in (False, True):
        found = whole.points(128, 3, shuffled)
        assert np.array_equal(less.points(128, 3, shuffled), found[:, at])
        assert np.array_equal(whole.points(64, 3, shuffled), found[:64])


def test_two_samples_do_not_depend_on_the_order_of_rows(parameters):
    whole = Inputs(parameters, "priors")
    turned = Inputs(Parameters(parameters.items[::-1], parameters.path), "priors")
    at = [turned.names.index(name) for name in whole.names]
    assert at != list(range(len(at)))
    a, b = whole.two_samples(1024, 3)
    for one, other in zip((a, b), turned.two_samples(1024, 3), strict=True):
        assert np.array_equal(one, other[:, at])
    for one, other in zip(a.T, b.T, strict=True):
        # Independent samples: a standard error of 1/32 at most.
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / 32


def test_trajectories_keep_their_beginnings_and_turns(parameters):
    item = next(p for p in parameters.sampled if p.role != "structural")
    whole = Inputs(parameters, "priors")
    less = Inputs(parameters, "priors", held=[item.name])
    at = [whole.names.index(name) for name in less.names]
    points, order, _ = trajectories(whole.coordinates, whole.inputs, 32, 3)
    fewer, turns, _ = trajectories(less.coordinates, less.inputs, 32, 3)
    assert np.array_equal(fewer[0], points[0][:, at])
    gone = whole.names.index(item.name)
    for t in range(32):
        kept = [whole.names[j] for j in order[:, t] if j != gone]
        assert kept == [less.names[j] for j in turns[:, t]]


# -- noise -------------------------------------------------------------------------------

NOISE = """
dim: a, b, c ~ ~ |
u = RANDOM UNIFORM(0, 1, 0)
pair = RANDOM 0 1() + 2 * RANDOM NORMAL(-9, 9, 0, 1, 0)
each[dim] = RANDOM UNIFORM(0, 1, 0)
total = SUM(each[dim!])
"""


def noise_of(folder, equations, names):
    folder.mkdir()
    found = simulate(model(folder, equations, step=1, end=30), seed=4)
    return {name: found[name].to_numpy() for name in names}


def test_a_random_function_elsewhere_changes_no_other(tmp_path):
    names = ("u", "pair", "each", "total")
    whole = noise_of(tmp_path / "1", NOISE, names)
    lines = NOISE.strip().split("\n")
    for number, text in enumerate(
        (
            "first = RANDOM UNIFORM(0, 1, 0)\n" + NOISE,
            "\n".join([lines[0], *reversed(lines[1:])]),
            NOISE.replace("each[dim] =", "EACH[dim] =").replace("u =", "U ="),
            NOISE + "many[dim] = RANDOM 0 1()",
        ),
        2,
    ):
        own = {"each": "EACH", "u": "U"} if number == 4 else {}
        spelt = [own.get(name, name) for name in names]
        found = noise_of(tmp_path / str(number), text, spelt)
        for name, label in zip(names, spelt, strict=True):
            assert np.array_equal(found[label], whole[name]), (number, name)


def test_an_element_keeps_its_stream(tmp_path):
    """Elements added before and between, and an equation for each element alone."""
    whole = noise_of(tmp_path / "1", NOISE, ["each"])["each"]
    more = NOISE.replace("dim: a, b, c", "dim: z, a, y, b, c")
    found = noise_of(tmp_path / "2", more, ["each"])["each"]
    assert np.array_equal(found[..., [1, 3, 4]], whole)
    apart = NOISE.replace(
        "each[dim] = RANDOM UNIFORM(0, 1, 0)",
        "each[a] = RANDOM UNIFORM(0, 1, 0) ~~|\neach[b] = RANDOM UNIFORM(0, 1, 0) ~~|\n"
        "each[c] = RANDOM UNIFORM(0, 1, 0)",
    )
    assert np.array_equal(noise_of(tmp_path / "3", apart, ["each"])["each"], whole)


def test_lanes_have_the_same_streams(tmp_path):
    small = model(tmp_path, NOISE, step=1, end=10)
    more = model(tmp_path, "before = RANDOM 0 1()\n" + NOISE, "more.mdl", step=1, end=10)
    one, other = (
        simulate(m, experiment(("u", "pair", "total"), (1, 10), draws={}), seed=2)
        for m in (small, more)
    )
    for name in one:
        assert np.array_equal(one[name], other[name])
