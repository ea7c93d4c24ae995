//! A kernel into a partition: the Linux boot protocol, ACPI tables built in code, and the back ends
//! that start a kernel on CPUs and memory of its own.

#![deny(missing_docs)]

pub mod units;
