"""What lies in the stores: seen, remembered, missed, and kept when no cluster uses it any more."""
