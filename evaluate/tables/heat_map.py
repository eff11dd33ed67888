"""Figure 3's similarity matrix as a picture: prompts across, annotated tags down; a picture that stands alone."""

from __future__ import annotations

from ..report.page import Html, element
from .prompt_orders import PromptOrders

CELL, LEFT, TOP = 24.0, 150.0, 24.0


LONGEST = 22
"""Letters of a tag that are shown."""


STYLE = """
.heat { --ink: #1f2328; --cell: #1d5fa8; font: 12px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .heat { --ink: #e6e8ea; --cell: #7db4f0; } }
.heat text { fill: var(--ink); } .heat rect { fill: var(--cell); } .heat .best { fill: none; stroke: var(--ink); stroke-width: 1.5; }
"""


def heat_map(figure: PromptOrders) -> Html:
    """(N, L) cosines, darker for more alike; a frame marks the prompt that is most alike to each tag."""
    prompts, tags = figure.similarity.shape
    low, high = float(figure.similarity.min()), float(figure.similarity.max())
    cells = []
    for prompt in range(prompts):
        x = LEFT + prompt * CELL
        cells.append(element("text", str(prompt), x=x + CELL / 2, y=TOP - 8, text_anchor="middle"))
        for tag in range(tags):
            value = float(figure.similarity[prompt, tag])
            depth = (value - low) / (high - low) if high > low else 0.0
            name = element("title", f"prompt {prompt}, {figure.true[tag]}: {value:.2f}")
            place = {"x": x + 1, "y": TOP + tag * CELL + 1, "width": CELL - 2, "height": CELL - 2}
            cells.append(element("rect", name, fill_opacity=round(0.04 + 0.96 * depth, 3), **place))
    for tag, text in enumerate(figure.true):
        best = int(figure.similarity[:, tag].argmax())
        y = TOP + tag * CELL
        cells.append(element("rect", x=LEFT + best * CELL + 1, y=y + 1, width=CELL - 2, height=CELL - 2, class_="best"))
        short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        cells.append(element("text", short, x=LEFT - 8, y=y + CELL / 2 + 4, text_anchor="end"))
    width, height = LEFT + prompts * CELL + 4, TOP + tags * CELL + 4
    return element(
        "svg",
        element("title", f"Cosine of order prompts and annotated tags, from {low:.2f} to {high:.2f}"),
        element("style", Html(STYLE)),
        *cells,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        class_="heat",
        width=width,
    )
