"""First stages that are the user's own: one file a store, which keeps texts and vectors."""
