//! Which modules the devices of a virtual machine need.

/// Devices that are found through ACPI by this id are virtio devices behind registers in memory
/// (drivers/virtio/virtio_mmio.c).
pub const VIRTIO_MMIO: &str = "LNRO0005";

/// The module for a device on the virtio bus, by its modalias, `virtio:dDDDDDDDDvVVVVVVVV`; `None` where we
/// know none (Virtual I/O Device, version 1.2, section 5; drivers/virtio/virtio.c, `modalias_show`).
pub fn module(modalias: &str) -> Option<&'static str> {
    let device = modalias.trim().strip_prefix("virtio:d")?.get(..8)?;
    Some(match u32::from_str_radix(device, 16).ok()? {
        1 => "virtio_net",
        2 => "virtio_blk",
        3 => "virtio_console",
        4 => "virtio_rng",
        5 => "virtio_balloon",
        19 => "vmw_vsock_virtio_transport",
        24 => "virtio_mem",
        27 => "virtio_pmem",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_their_number() {
        assert_eq!(module("virtio:d00000002v4E545450\n"), Some("virtio_blk"));
        assert_eq!(module("virtio:d00000013v00000000"), Some("vmw_vsock_virtio_transport"));
        assert_eq!(module("virtio:d000000ffv00000000"), None);
        assert_eq!(module("acpi:LNRO0005:"), None);
        assert_eq!(module("virtio:d0002"), None);
        assert_eq!(module("virtio:dééééé"), None);
    }
}
