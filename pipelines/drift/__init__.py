"""Drift: what the cameras show now, held against what they showed when the model was good.

`columns` says what is watched, `spans` makes two spans comparable, `calibration` says how far apart they may lie
by chance, `report` judges cameras and columns by it, `html` lets Evidently draw the report, `performance` compares
with labels, `decision` says whether to retrain, `record` keeps it in MLflow, `message` and `mail` tell people.
"""
