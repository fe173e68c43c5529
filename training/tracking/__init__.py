"""What a run says about its progress: files, trackers, lines of text."""
