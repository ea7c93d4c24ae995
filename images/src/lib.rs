//! Images: everything that a partition boots from.
//!
//! An image is a kernel (as an uncompressed ELF file), the parts of an initramfs (a root file system
//! and the modules of that very kernel), and a [`Manifest`](manifest::Manifest) that names them by
//! content.

#![forbid(unsafe_code)]

pub mod compress;
pub mod cpio;
pub mod debian;
pub mod manifest;
pub mod progress;
