"""What runs beside MLflow's own server: the data plane."""
