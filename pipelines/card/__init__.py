"""The model card: what is known of a model, from its own record, for whoever decides about it or is seen by it."""
