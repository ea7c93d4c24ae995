//! Model-specific registers through `/dev/cpu/N/msr`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use crate::units::CpuId;

/// Why a register cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum MsrError {
    /// the device cannot be opened
    #[error("{path} cannot be opened: load the `msr` module (`modprobe msr`)")]
    Open {
        /// The device.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// the register cannot be read
    #[error("model-specific register {register:#x} cannot be read")]
    Read {
        /// Its number.
        register: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// the register cannot be written
    #[error(
        "model-specific register {register:#x} cannot be written: take `msr.allow_writes=off` off \
         the host's command line; under lockdown there is no way"
    )]
    Write {
        /// Its number.
        register: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The model-specific registers of one CPU.
#[derive(Debug)]
pub struct Msr {
    device: File,
}

impl Msr {
    /// Opens the registers of `cpu`.
    ///
    /// # Errors
    ///
    /// [`MsrError::Open`] where the module is not loaded or we may not.
    pub fn open(cpu: CpuId) -> Result<Self, MsrError> {
        let path = format!("/dev/cpu/{}/msr", cpu.0);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(device) => Ok(Self { device }),
            Err(source) => Err(MsrError::Open { path, source }),
        }
    }

    /// Reads a register.
    ///
    /// # Errors
    ///
    /// [`MsrError::Read`] where the CPU does not have it.
    pub fn read(&self, register: u32) -> Result<u64, MsrError> {
        let mut value = [0; 8];
        self.device
            .read_exact_at(&mut value, register.into())
            .map_err(|source| MsrError::Read { register, source })?;
        Ok(u64::from_le_bytes(value))
    }

    /// Writes a register.
    ///
    /// # Errors
    ///
    /// [`MsrError::Write`] where the kernel does not let us.
    pub fn write(&self, register: u32, value: u64) -> Result<(), MsrError> {
        self.device
            .write_all_at(&value.to_le_bytes(), register.into())
            .map_err(|source| MsrError::Write { register, source })
    }
}
