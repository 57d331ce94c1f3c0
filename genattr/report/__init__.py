"""One page about sweeps: tables, figures, photos where two methods differ most."""
