"""What `lmd-bench new` writes: plug-ins that work, to be changed into one's own."""
