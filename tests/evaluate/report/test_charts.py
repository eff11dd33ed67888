from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from optsg.evaluate.report.charts import FRAME, Axis, Series, line_chart, long_tail_chart
from optsg.evaluate.report.page import environment


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([3.1, 47.0], (0, 10, 20, 30, 40, 50)),
        ([2.0, 2.0], (2.0, 2.2, 2.4, 2.6, 2.8, 3.0)),
    ],
)
def test_an_axis_has_round_ticks_around_the_values(values, ticks):
    axis = Axis.around(values)
    assert axis.ticks == pytest.approx(ticks)
    assert axis.low <= min(values)
    assert axis.high >= max(values)


@pytest.mark.parametrize("value", [1e20, -1e20, 9e99])
def test_a_number_beside_which_one_is_lost_has_an_axis(value):
    axis = Axis.around([value])
    assert axis.low <= value < axis.high
    assert 0 <= axis.place(value) < 1


def test_an_axis_of_epochs_has_whole_ticks_and_no_room_at_its_ends():
    axis = Axis.around([1.0, 3.0], whole=True)
    assert (axis.low, axis.high) == (1.0, 3.0)
    assert axis.ticks == (1.0, 2.0, 3.0)


def chart(*series, **options):
    return drawn(line_chart(series, title="Loss", x_label="epoch", y_label="loss", **options))


def drawn(made):
    template = environment().from_string('{% from "macros.html" import chart %}{{ chart(made) }}')
    return ET.fromstring(template.render(made=made))


def test_a_chart_draws_every_point_inside_its_area():
    figure = chart(Series("training", [(1, 4.0), (2, 3.0), (5, 0.5)]), Series("validation", [(2, 3.5)]), best_x=5)
    drawing = next(svg for svg in figure.iter("svg") if svg.get("role") == "img")
    assert drawing.get("aria-label") == "Loss: training from 4 to 0.5; validation from 3.5 to 3.5"
    dots = list(drawing.iter("circle"))
    assert [dot.findtext("title") for dot in dots] == [
        "training, 1: 4", "training, 2: 3", "training, 5: 0.5", "validation, 2: 3.5",
    ]  # fmt: skip
    for dot in dots:
        assert 0 <= float(dot.get("cx", "")) <= FRAME.width
        assert 0 <= float(dot.get("cy", "")) <= FRAME.height
    first, last = (float(dot.get("cy", "")) for dot in (dots[0], dots[2]))
    assert first < last, "a larger value is drawn further up"
    assert "best: 5" in [text.text for text in drawing.iter("text")]


def test_the_legend_names_the_lines_that_are_drawn():
    figure = chart(Series("training", [(1, 4.0)]), Series("validation", []))
    keys = next(div for div in figure.iter("div") if div.get("class") == "keys")
    assert "".join(keys.itertext()) == "training"
    assert not [text for text in figure.iter("text") if (text.text or "").startswith("best")]


def test_the_long_tail_has_a_bar_for_each_bin_under_its_lines():
    lines = [Series("<a>", [(0.0, 10.0), (1.0, 40.0)]), Series("b", [(0.0, 0.0), (1.0, 20.0)])]
    figure = drawn(long_tail_chart(["1", "2–5"], [1200, 300], lines, title="The long tail"))
    drawing = next(svg for svg in figure.iter("svg") if svg.get("role") == "img")
    assert drawing.get("aria-label") == (
        "The long tail: <a> from 10 for the rarest to 40 for the most frequent tags; "
        "b from 0 for the rarest to 20 for the most frequent tags"
    )
    bars = list(drawing.iter("rect"))
    assert [bar.findtext("title") for bar in bars] == ["1 training videos: 1,200 tags", "2–5 training videos: 300 tags"]
    tall, low = (float(bar.get("height", "")) for bar in bars)
    assert tall == pytest.approx(4 * low)
    middles = [float(bar.get("x", "")) + float(bar.get("width", "")) / 2 for bar in bars]
    dots = list(drawing.iter("circle"))
    assert [float(dot.get("cx", "")) for dot in dots] == pytest.approx(middles * 2, abs=0.01)
    assert [dot.findtext("title") for dot in dots] == ["<a>, 1: 10.0", "<a>, 2–5: 40.0", "b, 1: 0.0", "b, 2–5: 20.0"]
    keys = next(div for div in figure.iter("div") if div.get("class") == "keys")
    assert [span.text or "".join(span.itertext()) for span in keys] == ["<a>", "b", "number of tags"]
