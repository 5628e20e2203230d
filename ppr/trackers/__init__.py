"""Where a run's local record is replayed for people to look at; the record itself is the truth."""
