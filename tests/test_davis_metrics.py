"""J, F and their statistics: answers worked out by hand, and those of the official evaluator."""

import base64
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from stm_jax.errors import InputError
from stm_jax.eval import davis

EXACT = {"rtol": 0, "atol": 1e-9}


def mask(*rows: str) -> np.ndarray:
    """Returns a bool mask drawn as rows of '#' and '.'."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def squares(*corners: tuple[int, int]) -> np.ndarray:
    """Returns 4x4 squares, by their first pixels, in an image whose diagonal is 100 pixels.

    The contour of one at (row, column) is a ring of 16 pixels: the border of the 5x5 pixels that
    begin at (row - 1, column - 1).
    """
    image = np.zeros((80, 60), bool)
    for row, column in corners:
        image[row : row + 4, column : column + 4] = True
    return image


EMPTY = mask("....", "....", "....")
FULL = ~EMPTY
DOT = mask("....", ".#..", "....")
BAR = mask("....", ".##.", "....")


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (DOT, DOT, 1.0),
        (DOT, BAR, 0.5),
        (mask("##.."), mask(".##."), 1 / 3),
        (DOT, mask("....", "..#.", "...."), 0.0),
        (DOT, EMPTY, 0.0),
        (EMPTY, DOT, 0.0),
        (EMPTY, EMPTY, 1.0),
    ],
)
def test_region_similarity_is_intersection_over_union(prediction, truth, expected):
    assert davis.region_similarity(prediction, truth) == expected


@pytest.mark.parametrize(
    ("drawn", "contour"),
    [
        (DOT, mask("##..", "##..", "....")),
        (BAR, mask("###.", "###.", "....")),
        # The last row looks only right, the last column only down, the last corner nowhere.
        (mask("....", "....", "##.."), mask("....", "##..", ".#..")),
        (mask("...", "..#", "..#"), mask(".##", ".#.", ".#.")),
        (mask("..", ".#"), mask("##", "#.")),
        (EMPTY, EMPTY),
        (FULL, EMPTY),
    ],
)
def test_boundary_looks_right_down_and_right_down(drawn, contour):
    np.testing.assert_array_equal(davis.boundary(drawn), contour)


@pytest.mark.parametrize(
    ("corner", "tolerance", "expected"),
    [
        # To the side: without tolerance two sides of 4 pixels coincide, of 16.
        ((20, 21), 0.0, 8 / 16),
        # 0.1 pixels, and 0.8 by default, are rounded up to 1.
        ((20, 21), 0.001, 1.0),
        ((20, 21), 0.008, 1.0),
        # Diagonally: one corner pixel of each ring is sqrt(2) away, which a square would forgive.
        ((21, 21), 0.008, 15 / 16),
        # Within 3 pixels: sqrt(8) is, which a diamond would not forgive, sqrt(10) is not.
        ((22, 22), 0.025, 1.0),
        ((23, 21), 0.025, 15 / 16),
        ((50, 40), 0.008, 0.0),
    ],
)
def test_contour_accuracy_forgives_a_disk_of_the_tolerance(corner, tolerance, expected):
    truth, prediction = squares((20, 20)), squares(corner)
    assert davis.contour_accuracy(prediction, truth, tolerance) == expected


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 8, 18])
def test_dilation_is_by_a_disk_cut_off_at_the_border(radius):
    contour = np.zeros((12, 40), bool)
    contour[3, 17] = True
    rows, columns = np.indices(contour.shape)
    disk = (rows - 3) ** 2 + (columns - 17) ** 2 <= radius**2
    np.testing.assert_array_equal(davis._dilate(contour, radius), disk)


def test_contour_accuracy_is_the_harmonic_mean_of_precision_and_recall():
    one, two = squares((20, 20)), squares((20, 20), (50, 40))
    assert davis.contour_accuracy(two, one) == pytest.approx(2 * 0.5 * 1 / (0.5 + 1))
    assert davis.contour_accuracy(one, two) == pytest.approx(2 * 1 * 0.5 / (1 + 0.5))


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (EMPTY, EMPTY, 1.0),
        (DOT, EMPTY, 0.0),
        (EMPTY, DOT, 0.0),
        # The image's border is no contour: neither of these has any.
        (FULL, FULL, 1.0),
        (FULL, EMPTY, 1.0),
        (FULL, DOT, 0.0),
    ],
)
def test_contour_accuracy_without_contours(prediction, truth, expected):
    assert davis.contour_accuracy(prediction, truth) == expected


def test_masks_of_different_sizes_are_refused():
    for measure in (davis.region_similarity, davis.contour_accuracy):
        with pytest.raises(InputError, match=r"\(3, 4\).*\(1, 4\)"):
            measure(DOT, mask("...."))
        with pytest.raises(InputError, match="height, width"):
            measure(DOT[..., None], DOT[..., None])


@pytest.mark.parametrize(
    ("values", "mean", "recall", "decay"),
    [
        # Quarters by their ends 1, 2, 3, 4, 5: the first two values less the last two.
        ([1.0, 0.8, 0.5, 0.4, 0.2], 0.58, 2 / 5, 0.9 - 0.3),
        # Ends 1, 2.5, 4, 5.5, 7, halves up: the first three less the last two.
        ([1.0, 1.0, 0.4, 0.0, 0.0, 0.2, 0.4], 3 / 7, 2 / 7, 0.8 - 0.3),
        # A rising measure has a negative decay.
        ([0.0, 1.0], 0.5, 0.5, 0.0 - 1.0),
        ([0.75], 0.75, 1.0, 0.0),
        # Ends 1, 75.75, ..., 225.25, 300: the first 76 less the last 76, beyond 256 frames.
        ([1.0] * 76 + [0.5] * 148 + [0.0] * 76, 0.5, 76 / 300, 1.0),
    ],
)
def test_statistics(values, mean, recall, decay):
    found = davis.statistics(values)
    assert (found.mean, found.recall, found.decay) == pytest.approx((mean, recall, decay))


# Object 1 is the left column of 1 and object 2 the right one; in the first and last frame the
# prediction is wrong, in the second right, in the third 9 is no object, and 2 is half missed.
TRUTHS = np.array([[[1, 2], [1, 2]]] * 4, np.uint8)
PREDICTIONS = np.array(
    [[[0, 0], [0, 0]], [[1, 2], [1, 2]], [[9, 0], [9, 2]], [[2, 1], [2, 1]]], np.uint8
)


def test_score_sequence_leaves_out_the_first_and_the_last_frame():
    first, second = davis.score_sequence(PREDICTIONS, TRUTHS, [1, 2])
    assert first == davis.ObjectScores(1, j=(1.0, 0.0), f=(1.0, 0.0))
    assert (second.object_id, second.j) == (2, (1.0, 0.5))
    assert davis.score_sequence(PREDICTIONS, TRUTHS, [2]) == (second,)


def test_an_object_that_both_lack_scores_1():
    ids = np.array([[0, 1], [0, 1]], np.uint8)
    assert davis.score_frame(ids, ids, [1, 2]) == ((1.0, 1.0), (1.0, 1.0))
    nothing = np.zeros_like(ids)
    assert davis.score_frame(nothing, nothing, [2]) == ((1.0,), (1.0,))
    assert davis.score_frame(ids, nothing, [1, 2])[0] == (0.0, 1.0)


@pytest.mark.parametrize("corner", [(20, 21), (21, 21), (50, 40)])
def test_score_frame_forgives_as_contour_accuracy_does(corner):
    truth, prediction = squares((20, 20)), squares(corner)
    _, (found,) = davis.score_frame(3 * np.uint8(prediction), 3 * np.uint8(truth), [3])
    assert found == davis.contour_accuracy(prediction, truth)


def test_score_sequence_takes_one_frame_after_the_other():
    streamed = davis.score_sequence(iter(PREDICTIONS), (ids for ids in TRUTHS), [1, 2])
    assert streamed == davis.score_sequence(PREDICTIONS, TRUTHS, [1, 2])


@pytest.mark.parametrize(
    ("predictions", "truths", "object_ids", "message"),
    [
        (PREDICTIONS[:3], TRUTHS, [1], "the prediction has 3 frames, the truth more"),
        (PREDICTIONS, TRUTHS[:3], [1], "the truth has 3 frames, the prediction more"),
        (PREDICTIONS[:, :1], TRUTHS, [1], "frame 0: the prediction's shape is"),
        (PREDICTIONS[:2], TRUTHS[:2], [1], "fewer than three frames"),
        (PREDICTIONS[:0], TRUTHS[:0], [1], "fewer than three frames"),
        (PREDICTIONS, TRUTHS, [], "give at least one"),
        (PREDICTIONS, TRUTHS, [0, 1], "the background"),
    ],
)
def test_score_sequence_refuses_what_it_cannot_score(predictions, truths, object_ids, message):
    with pytest.raises(InputError, match=message):
        davis.score_sequence(predictions, truths, object_ids)


def test_every_object_weighs_the_same_whatever_its_sequence():
    short = davis.ObjectScores(1, j=(1.0, 0.0), f=(0.75, 0.75))
    long = davis.ObjectScores(3, j=(0.25,) * 8, f=(0.5,) * 8)
    found = davis.mean_over_objects([short, long])
    assert found.j == davis.Statistics(mean=0.375, recall=0.25, decay=0.5)
    assert found.f == davis.Statistics(mean=0.625, recall=0.5, decay=0.0)
    assert found.j_and_f == 0.5


def test_statistics_of_nothing_are_refused():
    with pytest.raises(InputError):
        davis.statistics([])
    with pytest.raises(InputError):
        davis.mean_over_objects([])


# Shape, J and F by the official evaluator, and the bits of prediction and truth.
OFFICIAL_PAIRS = [
    (
        (22, 77),
        0.3224431818181818,
        0.37815126050420167,
        (
            "c-oCnv26n}3_L=HmBN4)Frqb51W`uu7%l=!!57&gvv3p{Dbli306`3;&j7jVNP@>Z0{=qG#mOx*{8vZZ?h2$"
            "((NDgET0&rihFBYhO&WA#FCY~^9+82d9Dk~7KvtxI2smxX6_+)Ht}}6fWU*A)m&Fc8oUzj<$Z-*3JGc<0`fT"
            "9M^(9ddJ{pq$w(^#k+DjBT8Rn5KK->g2(Ly5>i{P|`_B>UhBHydohIZ0Vqyn$vv`$M&iyxTRwIeK#q;=*nxN"
            "*XD_w#xoe%PBO%y5P?`rjMH%ii#uW&kpy?<;y_>h{5@Z}NHOwK8vO(`^3&@Zoff"
        ),
    ),
    (
        (131, 184),
        0.2545155993431856,
        0.39250867657651756,
        (
            "c-rllF%H8Z5Cjh)<w~BwM<V%K>G0G16hFbG3uMwH-B6qqNFv>qBNsL-dy7TpC~u5c#Ay|mYltFyEB^g=Rm9r"
            "(gf%>nxgCs8!_%qljB(}la8J4h>Bd-1c$RoX3ZHAa7&jBHZjqNBopr;^3Y>6(V^SI~bKxz_mnF!1K5)&QzC6"
            "Ve8)9Kxss*#F(#|i!;i8*wookE&dn^3=-7awA#!kKMmEn_dH9W1{zm>avJl&J7QS;As+5T<@>>p{=s|9;Yd+"
            "W})@U-BBGdAj__YcGp<WhX^eqs9Z6jL@tX1rV$T&CbB&;(v="
        ),
    ),
    (
        (41, 148),
        0.6644736842105263,
        0.96398891966759,
        (
            "c-rk#u?fU55WA4V&4Wj{HPU&sWHgWRBYc^{SdXtdTRfN)frnh-LI_!seMQEJ2SMjW5+U*?<Ry1aA|$Y9<Pp("
            "2A`2)+#Ef_#aZxT3$AtP$t^({rk0(o`&d7>t0kS838mahvu+#Za6ZcAjCbFQj*+il*XSbVbXS0q?B<ph%ve~"
            "_!*_4h%wJ4E(OySR(XGqU(JiGD7yYU63E`0O"
        ),
    ),
]


@pytest.mark.parametrize(("shape", "j", "f", "packed"), OFFICIAL_PAIRS)
def test_three_pairs_equal_the_official_evaluator(shape, j, f, packed):
    packed_pair = np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8)
    prediction, truth = (
        np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)
        for bits in packed_pair.reshape(2, -1)
    )
    np.testing.assert_allclose(davis.region_similarity(prediction, truth), j, **EXACT)
    np.testing.assert_allclose(davis.contour_accuracy(prediction, truth), f, **EXACT)


def test_all_pairs_equal_the_official_evaluator(shared):
    found, official = [], []
    with np.load(shared / "golden/davis_metrics/mask_pairs.npz") as pairs:
        for number in range(60):
            shape = pairs[f"{number:02d}/shape"]
            prediction, truth = (
                np.unpackbits(pairs[f"{number:02d}/{side}"], count=shape.prod())
                .reshape(shape)
                .astype(bool)
                for side in ("segmentation", "annotation")
            )
            found.append(
                (
                    davis.region_similarity(prediction, truth),
                    davis.contour_accuracy(prediction, truth),
                )
            )
            official.append((pairs[f"{number:02d}/J"], pairs[f"{number:02d}/F"]))
    np.testing.assert_allclose(found, official, **EXACT)


def test_a_sequence_equals_the_official_evaluator(shared):
    golden = shared / "golden/davis_metrics"
    official = json.loads((golden / "official_values.json").read_text())
    predictions, truths = (
        [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
        for folder in (
            golden / "predictions/schoolgirls",
            shared / "data/davis2017-multiobject/Annotations/480p/schoolgirls",
        )
    )
    scores = davis.score_sequence(predictions, truths, range(1, 8))
    assert [each.object_id for each in scores] == [1, 2, 3, 4, 5, 6, 7]
    for each in scores:
        values = official[f"schoolgirls_{each.object_id}"]
        np.testing.assert_allclose(each.j, values["J_frames"], **EXACT)
        np.testing.assert_allclose(each.f, values["F_frames"], **EXACT)
        _assert_statistics_equal(davis.statistics(each.j), davis.statistics(each.f), values)
    overall = davis.mean_over_objects(scores)
    _assert_statistics_equal(overall.j, overall.f, official["global"])
    np.testing.assert_allclose(overall.j_and_f, official["global"]["J&F"], **EXACT)


def _assert_statistics_equal(j: davis.Statistics, f: davis.Statistics, official: dict) -> None:
    found = [j.mean, j.recall, j.decay, f.mean, f.recall, f.decay]
    names = ["J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"]
    np.testing.assert_allclose(found, [official[name] for name in names], **EXACT)
