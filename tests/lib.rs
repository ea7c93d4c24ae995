//! End-to-end scenarios: see `scenarios/`.
