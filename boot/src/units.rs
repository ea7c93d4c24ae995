//! Quantities that cross module borders, each a type of its own: a Linux CPU number is not an APIC
//! id, and a size is not an address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod bytes;
mod cpuset;
mod mac;
pub mod quantity;

pub use bytes::{Bytes, ParseBytesError};
pub use cpuset::{CpuSet, MAX_CPU, ParseCpuSetError};
pub use mac::{MacAddress, ParseMacError};

/// A CPU by its Linux number, as in `/sys/devices/system/cpu/cpuN`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuId(pub u32);

/// A CPU by its local APIC id (32 bits wide: x2APIC ids go beyond 255).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApicId(pub u32);

/// A NUMA node by its Linux number, as in `/sys/devices/system/node/nodeN`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// A physical address of this machine, in bytes. A bare partition sees the same addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// The address `offset` bytes further on; `None` where that leaves 64 bits.
    pub fn checked_add(self, offset: u64) -> Option<Self> {
        self.0.checked_add(offset).map(Self)
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu {}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// Serde through the text form, for types that people write as `"512MiB"` or `"2-3,6"`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                <$type>::from_str(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
