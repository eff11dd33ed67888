"""Sources of tags that need no gradient: what a title says, what similar videos have, what a linear probe makes of both."""
