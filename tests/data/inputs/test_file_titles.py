"""File names that people gave are titles, those of cameras are none."""

from __future__ import annotations

import pytest
from optsg.data.inputs.file_titles import title_from_name


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("our cat at the window.mp4", "our cat at the window"),
        ("trips/two_days-at.the.lake.webm", "two days at the lake"),
        ("2019-07-14 beach with Anna.jpg", "beach with Anna"),
        ("20190714_183000_fireworks.mp4", "fireworks"),
        ("Kitten meets dog [dQw4w9WgXcQ].mkv", "Kitten meets dog"),
        ("red-panda (1).png", "red panda"),
        ("Top 10 goals of 2014.mp4", "Top 10 goals of 2014"),
        ("01 - Intro.mp4", "Intro"),
        ("窗边的猫.mp4", "窗边的猫"),
        ("猫.jpg", "猫"),
        ("Rock'n'Roll.mp4", "Rock'n'Roll"),
        ("wedding_1080p_x264.mp4", "wedding"),
        ("My.Holiday.2021.mp4", "My Holiday 2021"),
        ("beach 003.jpg", "beach"),
    ],
)
def test_names_of_people(name: str, title: str) -> None:
    assert title_from_name(name) == title


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.JPG",
        "DSC01234.ARW.jpg",
        "DSCN0042.jpg",
        "P1010001.JPG",
        "PXL_20230101_120000123.mp4",
        "VID_20230101_120000.mp4",
        "MVI_0001.AVI",
        "GX010023.MP4",
        "20230101_123456.mp4",
        "2023-01-01 12.34.56.jpg",
        "WhatsApp Image 2023-01-01 at 12.34.56.jpeg",
        "Screenshot 2023-01-01 at 12.34.56.png",
        "IMG-20230101-WA0001.jpg",
        "0001.mp4",
        "video (1).mp4",
        "d41d8cd98f00b204e9800998ecf8427e.mp4",
        "550e8400-e29b-41d4-a716-446655440000.jpg",
        "a.mp4",
        "002a-20e3.mp4",
    ],
)
def test_names_of_cameras_and_numbers(name: str) -> None:
    assert title_from_name(name) == ""
