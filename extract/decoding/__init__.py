"""Video and image files to the right frames. The only imports of decord and PyAV; no torch."""

from .decode import DecodedVideo, decode_image, decode_video, decode_video_with

__all__ = ["DecodedVideo", "decode_image", "decode_video", "decode_video_with"]
