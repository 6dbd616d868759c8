"""Results as files that other tools take, one module a kind; `make` makes those asked for."""
