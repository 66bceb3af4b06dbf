"""What `pipelines.model_ci` is made of: the recipe, what changed since the last run, and the summary."""
