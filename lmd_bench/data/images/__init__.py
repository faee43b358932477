"""Images, decoded and resized once."""
