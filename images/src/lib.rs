//! Images: everything that a partition boots from.
//!
//! An image is a kernel (as an uncompressed ELF file), the parts of an initramfs (a root file system
//! and the modules of that very kernel), and a [`Manifest`](manifest::Manifest) that names them by
//! content. Images live in a [`Store`](store::Store); equal contents are stored once.
//!
//! [`build`](build::build) makes an image of a [`Definition`](definition::Definition).
//!
//! Nothing that is unpacked reaches the host's file systems, and nothing in it is executed: packages,
//! archives and layers become a [`Tree`](tree::Tree) in memory. The builder needs no privileges.

#![forbid(unsafe_code)]

pub mod archive;
pub mod build;
pub mod bzimage;
pub mod compress;
pub mod cpio;
pub mod debian;
pub mod definition;
pub mod elf;
pub mod kernel;
pub mod manifest;
pub mod modules;
pub mod oci;
pub mod progress;
pub mod rootfs;
pub mod store;
pub mod tree;
