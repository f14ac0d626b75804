//! TP-Link Kasa and Tapo plugs and strips.

use crate::device::FenceDevice;
use crate::error::{Error, Result};
use crate::options::{OptionSpec, Settings};

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = &[];

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let _ = settings.required("ip")?;
    Err(Error::unsupported("this backend is not built yet"))
}
