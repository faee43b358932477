"""Ray: the cluster, its workers, the adapters to Tune."""
