"""What has to hold of every plug-in, whoever wrote it, as functions that anybody may call."""
