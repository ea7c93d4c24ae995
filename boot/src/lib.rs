//! A kernel into a partition: the Linux boot protocol, ACPI tables built in code, and the back ends
//! that start a kernel on CPUs and memory of its own.

pub mod acpi;
pub mod backend;
pub mod bare;
pub mod boot_params;
pub mod command_line;
pub mod contents;
pub mod host_memory;
pub mod iomem;
pub mod kernel;
pub mod kernel_log;
pub mod kvm;
pub mod layout;
pub mod memory;
pub mod page_tables;
pub mod units;
