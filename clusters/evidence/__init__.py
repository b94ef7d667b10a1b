"""Evidence for auditors: what was backed up, missed, proved and changed in a period. Reads what others keep."""
