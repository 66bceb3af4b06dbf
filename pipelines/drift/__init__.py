"""Drift: what the cameras show now, held against what they showed when the model was good.

`calibration` says how far apart two spans may lie by chance, `report` judges cameras and columns by it, `html`
lets Evidently draw the report, `performance` compares with labels, `decision` says whether to retrain, `message`
and `mail` tell people.
"""
