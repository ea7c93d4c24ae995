//! Images: everything that a partition boots from.
//!
//! An image is a kernel (as an uncompressed ELF file), the parts of an initramfs (a root file system
//! and the modules of that very kernel), and a [`Manifest`] that names them by content. Images live
//! in a [`Store`](store::Store); equal contents are stored once.

#![forbid(unsafe_code)]

pub mod manifest;
