"""What a run looks like: a page in the browser, a bridge to Foxglove, a report of a bag."""
