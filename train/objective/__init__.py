"""What is learned (paper Eq. 2–10): targets, losses, and how the shares of a joint batch exchange what they need."""
