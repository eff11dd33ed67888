"""``optsg-store``: what is in a store, whether it is whole, other labels for it, and stores made of others or of ready-made features."""
