"""Where encoders come from: one file a source."""
