"""The search for a better model: a space of trainings, a study of trials, the front they form, and the choice."""
