"""What a submission is: its files, claims, logs and effective configuration."""
