"""Human judgement of predicted tags: a local page that asks, a file of answers, and the paper's tag gain (§4.2, Eq. 11)."""
