//! The supervisor and command line of partitiond.
