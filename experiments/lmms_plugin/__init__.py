"""The plug-in for lmms-eval, whose own command then runs our models and memories on its tasks."""
