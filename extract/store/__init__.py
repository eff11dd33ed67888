"""``optsg-store``: what is in a store, whether it is whole, and stores made of others or of ready-made features."""
