"""What a person allows, wants and forbids, kept while tags are predicted."""
