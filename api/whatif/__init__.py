"""What if: a changed configuration against the calls that were."""
