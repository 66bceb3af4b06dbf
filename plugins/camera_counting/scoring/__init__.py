"""The model behind MLflow's scoring server: requests to rows, rows to answers, errors to reasons."""
