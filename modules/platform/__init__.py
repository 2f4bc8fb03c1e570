"""What every module stands on: the audit trail, document numbers, settings, files."""
