//! The extension module below the Python package `fencekit`.
//!
//! Python sees plain values here: dictionaries, lists, text and numbers, of which `python/fencekit/` makes its objects.
//! Every operation is a `Work` that is made first and then done, either by
//! `run`, which blocks, or by `start`, for asyncio.
#![deny(unsafe_code)]

mod background;
mod cluster;
mod device;
mod drive;
mod failure;
mod logging;
mod options;
mod value;
mod work;

/// The private part of `fencekit`; its names may change in any version.
///
/// It needs no global lock: its classes are frozen, and what changes in them and in its statics has locks of its own,
/// none of which is held while Python runs.
#[pyo3::pymodule(name = "_fencekit", gil_used = false)]
mod extension {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::cluster::{Cluster, discover};
    #[pymodule_export]
    use crate::device::Device;
    #[pymodule_export]
    use crate::work::{Running, Work};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::logging::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
