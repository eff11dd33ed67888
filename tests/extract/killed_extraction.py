"""A process that begins an extraction again and again, in a child that the test may kill at any moment.

The child is forked when everything is imported and the encoders are open, so that an attempt costs no seconds before it
does anything. Standard input: one line per attempt, ``OUT LIMIT``. Standard output: the child's process id, then how it
ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from optsg.data.inputs import open_inputs
from optsg.extract import pipeline
from optsg.extract.encoders.image_encoder import open_image_encoder, parse_image_encoder
from optsg.extract.encoders.text_encoder import open_text_encoder, parse_text_encoder
from optsg.extract.options import complete

from tests.extract.run_extraction import run_extraction


def main(source: str, image_folder: str, text_folder: str) -> None:
    """Serves attempts until there are no more."""
    image = open_image_encoder(parse_image_encoder(image_folder), device="cpu", precision="float32")
    text = open_text_encoder(parse_text_encoder(text_folder), device="cpu")
    pipeline.INPUTS_PER_PART = 3
    for line in sys.stdin:
        out, limit = line.rsplit(maxsplit=1)
        child = os.fork()
        if child == 0:
            inputs = open_inputs(Path(source), limit=int(limit))
            options = complete(batch_size=8, workers=2)
            run_extraction(inputs, Path(out), image_encoder=image, text_encoder=text, options=options)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
