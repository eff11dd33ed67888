from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from optsg.evaluate.report.charts import HEIGHT, WIDTH, Axis, Series, line_chart


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


def test_an_axis_of_epochs_has_whole_ticks_and_no_room_at_its_ends():
    axis = Axis.around([1.0, 3.0], whole=True)
    assert (axis.low, axis.high) == (1.0, 3.0)
    assert axis.ticks == (1.0, 2.0, 3.0)


def chart(*series, **options):
    made = line_chart(series, title="Loss", x_label="epoch", y_label="loss", **options)
    return ET.fromstring(made)


def test_a_chart_draws_every_point_inside_its_area():
    figure = chart(Series("training", [(1, 4.0), (2, 3.0), (5, 0.5)]), Series("validation", [(2, 3.5)]), best_x=5)
    drawing = next(svg for svg in figure.iter("svg") if svg.get("role") == "img")
    assert drawing.get("aria-label") == "Loss: training from 4 to 0.5; validation from 3.5 to 3.5"
    dots = list(drawing.iter("circle"))
    assert [dot.findtext("title") for dot in dots] == [
        "training, 1: 4", "training, 2: 3", "training, 5: 0.5", "validation, 2: 3.5",
    ]  # fmt: skip
    for dot in dots:
        assert 0 <= float(dot.get("cx", "")) <= WIDTH
        assert 0 <= float(dot.get("cy", "")) <= HEIGHT
    first, last = (float(dot.get("cy", "")) for dot in (dots[0], dots[2]))
    assert first < last, "a larger value is drawn further up"
    assert "best: 5" in [text.text for text in drawing.iter("text")]


def test_the_legend_names_the_lines_that_are_drawn():
    figure = chart(Series("training", [(1, 4.0)]), Series("validation", []))
    keys = next(div for div in figure.iter("div") if div.get("class") == "keys")
    assert "".join(keys.itertext()) == "training"
    assert not [text for text in figure.iter("text") if (text.text or "").startswith("best")]
