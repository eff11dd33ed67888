"""Decoding in processes of its own: what runs in them, how they are asked, the pool that keeps them going. No torch."""
