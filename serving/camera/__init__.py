"""Many live cameras in one process, counted with one detector.

python -m serving.camera --config cameras.yaml
"""
